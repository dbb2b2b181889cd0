import json
from typing import Any

import msgspec
import pytest

from postern_crds.sidecar_config import ProxyConfig, RegistrationConfig
from postern_sidecar.discovery.facade_metadata import facade_metadata
from postern_sidecar.discovery.locations import Location, Locations
from tests.support.policies import PROXY, make_proxy_config


def document(proxy: ProxyConfig = PROXY, **parts: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(facade_metadata(make_proxy_config(proxy, **parts), proxy))
    return read


def test_document_names_us_and_what_we_do() -> None:
    methods = ["none", "client_secret_post", "client_secret_basic"]
    found = document(verification={"supported_scopes": ("mcp:read",)}, resource={"documentation": "https://d"})
    assert found == {
        "issuer": "https://mcp.example.com",
        "authorization_endpoint": "https://mcp.example.com/authorize",
        "token_endpoint": "https://mcp.example.com/token",
        "registration_endpoint": "https://mcp.example.com/register",
        "revocation_endpoint": "https://mcp.example.com/revoke",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
        "scopes_supported": ["mcp:read", "offline_access"],
        "service_documentation": "https://d",
    }


def test_what_the_policy_does_not_allow_is_not_offered() -> None:
    closed = RegistrationConfig(dynamic=False, metadata_documents=False, allowed_hosts=(), redirect_uris=())
    proxy = msgspec.structs.replace(PROXY, registration=closed, grant_types=("authorization_code",))
    found = document(proxy)
    assert "registration_endpoint" not in found
    assert "scopes_supported" not in found
    assert found["client_id_metadata_document_supported"] is False
    assert found["grant_types_supported"] == ["authorization_code"]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/weather",
        "/.well-known/openid-configuration/weather",
        "/weather/.well-known/openid-configuration",
        "/weather/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/weather/mcp",
        "/.well-known/oauth-authorization-server",
    ],
)
def test_document_of_an_issuer_under_a_prefix_is_at_all_forms(path: str) -> None:
    resource = make_proxy_config(resource={"path": "/weather/mcp", "prefix": "/weather"}).resource
    assert Locations(resource).find(path.encode()) is Location.SERVER_METADATA
