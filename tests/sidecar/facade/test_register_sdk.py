"""The registration of the Python SDK itself: what it sends is understood, and it understands the answer."""

import httpx2
import pytest
from mcp.client.auth.utils import create_client_registration_request, handle_registration_response
from mcp.shared.auth import OAuthClientMetadata
from pydantic import AnyUrl

from postern_sidecar.facade.register import register
from tests.sidecar.facade.building import NOW, make_context, make_request


@pytest.mark.parametrize(
    ("method", "effective"),
    [
        (None, "none"),
        ("none", "none"),
        ("client_secret_post", "client_secret_post"),
        ("client_secret_basic", "client_secret_basic"),
    ],
)
async def test_python_sdk_registers(method: str | None, effective: str) -> None:
    metadata = OAuthClientMetadata.model_validate(
        {
            "redirect_uris": [AnyUrl("http://localhost:3030/callback"), AnyUrl("cursor://x/cb")],
            "token_endpoint_auth_method": method,
            "client_name": "SDK",
            "scope": "weather.read",
        }
    )
    sent = create_client_registration_request(None, metadata, "https://mcp.example.com")
    context = make_context()
    answer = await register(make_request("POST", body=sent.read(), headers=dict(sent.headers)), context)
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]
    response = httpx2.Response(answer.status, headers=headers, content=answer.body)
    information = await handle_registration_response(response)
    assert information.token_endpoint_auth_method == effective
    assert bool(information.client_secret) == (effective != "none")
    assert information.client_id is not None
    client = await context.clients.find(information.client_id, NOW)
    assert client.redirect_uris == ("http://localhost:3030/callback", "cursor://x/cb")
    assert information.scope == "weather.read"
