"""What a client document and its URL must be."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar.facade.document_rules import host_of, read_document
from postern_sidecar.facade.faults import OAuthFault
from tests.sidecar.facade.document_host import URL, document

CLAUDE_CODE = document(
    "https://claude.ai/oauth/claude-code-client-metadata",
    client_name="Claude Code",
    redirect_uris=["http://localhost/callback", "http://127.0.0.1/callback"],
    token_endpoint_auth_method="none",
)
CLAUDE = document(
    "https://claude.ai/oauth/mcp-oauth-client-metadata",
    client_name="Claude",
    redirect_uris=["https://claude.ai/api/mcp/auth_callback"],
    grant_types=["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
    token_endpoint_auth_method="none",
)
CHATGPT = document(
    "https://chatgpt.com/oauth/client.json",
    client_name="ChatGPT",
    client_uri="https://chatgpt.com/",
    redirect_uris=["https://chatgpt.com/connector_platform_oauth_redirect"],
    token_endpoint_auth_method="private_key_jwt",
    token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
    token_endpoint_auth_signing_alg="RS256",
    jwks_uri="https://chatgpt.com/oauth/jwks.json",
    grant_types=["authorization_code", "refresh_token"],
    response_types=["code"],
)
VS_CODE = document(
    "https://vscode.dev/oauth/client-metadata.json",
    client_name="Visual Studio Code",
    redirect_uris=["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
    grant_types=["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    response_types=["code"],
    token_endpoint_auth_method="none",
    application_type="native",
)


def read(members: object, url: str = URL, content_type: str = "application/json") -> Any:
    return read_document(url, json.dumps(members).encode(), content_type)


@pytest.mark.parametrize("members", [CLAUDE_CODE, CLAUDE, CHATGPT, VS_CODE], ids=lambda members: members["client_name"])
def test_document_of_a_real_client_is_read(members: dict[str, Any]) -> None:
    url = members["client_id"]
    assert host_of(url) == url.split("/")[2]
    found = read(members, url)
    assert (found.url, found.name, list(found.redirect_uris)) == (url, members["client_name"], members["redirect_uris"])
    assert {"authorization_code", "refresh_token"} <= set(found.grant_types)


@pytest.mark.parametrize(
    "url",
    ["https://a.b/c", "https://app.example.com:443/x", "https://xn--bcher-kva.example/%20", "https://example.com//x"],
)
def test_plain_https_url_with_a_path_may_be_fetched(url: str) -> None:
    assert host_of(url) in url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "https:///x",
        "https://example.com",
        "https://example.com/",
        "http://example.com/x",
        "HTTPS://example.com/x",
        "ftp://example.com/x",
        "//example.com/x",
        "https:/example.com/x",
        "https:\\\\example.com\\x",
        "https://example.com\\@evil.example/x",
        "https://user@example.com/x",
        "https://user:pw@example.com/x",
        "https://@example.com/x",
        "https://example.com/x#",
        "https://example.com/x#y",
        "https://example.com/x?",
        "https://example.com/x?y=1",
        "https://example.com/./x",
        "https://example.com/../x",
        "https://example.com/a/..",
        "https://example.com/%2e%2e/x",
        "https://example.com/.%2E/x",
        "https://example.com/a%2f..%2fx",
        "https://example.com/a%5c..%5cx",
        "https://example.com:8443/x",
        "https://example.com:80/x",
        "https://example.com:/x",
        "https://example.com:0443/x",
        "https://EXAMPLE.com/x",
        "https://example.com./x",
        "https://.example.com/x",
        "https://example..com/x",
        "https://localhost/x",
        "https://kubernetes/x",
        "https://127.0.0.1/x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:169.254.169.254]/x",
        "https://bücher.example/x",
        "https://example.com/ä",
        "https://example.com/x y",
        "https://example.com/x\n",
        "https://example.com/\r\nHost: evil/x",
        "https://example.com/x\x00",
        "https://example.com/%zz",
        'https://example.com/"x',
        "https://example.com/[x]",
        f"https://example.com/{'x' * 512}",
        f"https://{'a' * 64}.example/x",
        f"https://{'a.' * 127}example/x",
    ],
)
def test_every_other_url_is_refused(url: str) -> None:
    with pytest.raises(OAuthFault) as caught:
        host_of(url)
    assert caught.value.error == "invalid_client"


@given(st.text(max_size=60))
def test_any_text_after_a_host_is_refused_or_belongs_to_host_and_path(text: str) -> None:
    try:
        host = host_of(f"https://example.com{text}")
    except OAuthFault:
        return
    assert f"example.com{text}".startswith((f"{host}/", f"{host}:443/"))
    assert host.startswith("example.com")
    assert not set(text) & set("?#@\\ \t\r\n\x00")


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"client_id": URL + "/"}, id="other client_id"),
        pytest.param({"client_id": URL.upper()}, id="client_id in upper case"),
        pytest.param({"client_id": "https://app.example.com:443/oauth/client.json"}, id="equivalent client_id"),
        pytest.param({"client_id": None}, id="no client_id"),
        pytest.param({"client_id": [URL]}, id="client_id in a list"),
        pytest.param({"client_name": None}, id="no name"),
        pytest.param({"client_name": ""}, id="empty name"),
        pytest.param({"client_name": "  "}, id="blank name"),
        pytest.param({"client_name": 5}, id="name that is a number"),
        pytest.param({"client_name": "x" * 201}, id="long name"),
        pytest.param({"redirect_uris": None}, id="no redirect URIs"),
        pytest.param({"redirect_uris": []}, id="empty redirect URIs"),
        pytest.param({"redirect_uris": "https://app.example.com/cb"}, id="redirect URIs in a string"),
        pytest.param({"redirect_uris": [5]}, id="redirect URI that is a number"),
        pytest.param({"redirect_uris": ["https://app.example.com/cb"] * 51}, id="many redirect URIs"),
        pytest.param({"token_endpoint_auth_method": "client_secret_basic"}, id="secret method"),
        pytest.param({"token_endpoint_auth_method": "private_key_jwt"}, id="key method"),
        pytest.param({"token_endpoint_auth_method": ["none"]}, id="method in a list"),
        pytest.param(
            {
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            },
            id="key method alone",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods_supported": "none"},
            id="methods in a string",
        ),
        pytest.param({"client_secret": "x"}, id="secret"),
        pytest.param({"client_secret": None}, id="null secret"),
        pytest.param({"client_secret_expires_at": 0}, id="expiry of a secret"),
        pytest.param({"grant_types": ["client_credentials"]}, id="other grant"),
        pytest.param({"grant_types": {"authorization_code": 1}}, id="grants in an object"),
        pytest.param({"response_types": ["token"]}, id="implicit"),
    ],
)
def test_document_with_a_fault_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(OAuthFault) as caught:
        read(document(**members))
    assert caught.value.error == "invalid_client"
    assert caught.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html></html>",
        json.dumps(document()).encode()[:-1],
        json.dumps(document()).encode() + b"{}",
        b'{"client_id": "https://evil.example/x", ' + json.dumps(document()).encode()[1:],
        b"\xff",
        b'{"a":' * 5000,
    ],
)
def test_body_that_is_not_one_unambiguous_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(OAuthFault, match="invalid_client"):
        read_document(URL, body, "application/json")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/client-metadata+json", "application/jwk-set+json"]
)
def test_json_content_type_is_read(content_type: str) -> None:
    assert read(document(), content_type=content_type).name == "App"


@pytest.mark.parametrize(
    "content_type", ["", "text/html", "text/plain", "application/octet-stream", "text/x+json", "application/+json"]
)
def test_other_content_type_is_refused(content_type: str) -> None:
    # User uploads on somebody's host come as these.
    with pytest.raises(OAuthFault, match="invalid_client"):
        read(document(), content_type=content_type)
