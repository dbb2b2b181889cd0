"""Registrations of real clients work as they are; what could mislead us or somebody else is refused."""

import json
from typing import Any

import msgspec
import pytest

from postern_crds.sidecar_config import ProxyConfig
from postern_sidecar.facade.artefacts import Registration, open_as
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.facade.register import MAX_CLIENT_ID, register
from tests.sidecar.facade.building import NOW, body_of, header_of, make_context, make_request
from tests.support.policies import PROXY, make_proxy_config

BOTH_GRANTS = ["authorization_code", "refresh_token"]
CALLBACK = "http://127.0.0.1:8765/callback"

PYTHON_SDK = {
    "redirect_uris": ["http://localhost:3030/callback"],
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "scope": "mcp:read mcp:write",
    "client_name": "simple-auth-client",
    "application_type": "native",
}
TYPESCRIPT_V1 = {
    "client_name": "Simple OAuth MCP Client",
    "redirect_uris": ["http://localhost:8090/callback"],
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_post",
    "scope": "mcp:tools",
}
TYPESCRIPT_V2 = {
    "client_name": "v2",
    "redirect_uris": ["http://localhost:8090/callback"],
    "grant_types": BOTH_GRANTS,
    "application_type": "native",
}
CURSOR = {
    "client_name": "Cursor",
    "redirect_uris": [
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback",
        "http://localhost:8787/callback",
    ],
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
VS_CODE = {
    "client_name": "Visual Studio Code",
    "client_uri": "https://code.visualstudio.com",
    "grant_types": [*BOTH_GRANTS, "urn:ietf:params:oauth:grant-type:device_code"],
    "response_types": ["code"],
    "redirect_uris": [
        "https://insiders.vscode.dev/redirect",
        "https://vscode.dev/redirect",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
    ],
    "scope": "mcp:read",
    "token_endpoint_auth_method": "none",
    "application_type": "native",
}
CHATGPT = {
    "client_name": "ChatGPT",
    "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
CLAUDE = {
    "client_name": "Claude",
    "redirect_uris": ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
    "scope": "claudeai",
}
CLAUDE_CODE = {
    "client_name": "Claude Code (weather)",
    "redirect_uris": ["http://localhost:52341/callback"],
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
GEMINI = {
    "client_name": "Gemini",
    "redirect_uris": ["https://oauth-redirect.googleusercontent.com/r/user_bound_custom-mcp-1234567890"],
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_post",
}
INSPECTOR = {
    "redirect_uris": ["http://localhost:6274/oauth/callback", "http://localhost:6274/oauth/callback/debug"],
    "token_endpoint_auth_method": "none",
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "client_name": "MCP Inspector",
    "client_uri": "https://github.com/modelcontextprotocol/inspector",
    "scope": "",
}
MCP_REMOTE = {
    "redirect_uris": ["http://localhost:3334/oauth/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "client_name": "MCP CLI Proxy",
    "client_uri": "https://github.com/modelcontextprotocol/mcp-cli",
    "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
    "software_version": "0.1.38",
}
OPENCODE = {
    "redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
    "client_name": "OpenCode",
    "client_uri": "https://opencode.ai",
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
CODEX = {
    "client_name": "Codex",
    "redirect_uris": ["http://127.0.0.1:41234/callback"],
    "grant_types": BOTH_GRANTS,
    "token_endpoint_auth_method": "none",
    "response_types": ["code"],
}
FASTMCP = {
    "redirect_uris": ["http://localhost:47011/callback"],
    "token_endpoint_auth_method": "none",
    "grant_types": BOTH_GRANTS,
    "response_types": ["code"],
    "client_name": "FastMCP Client",
    "scope": "",
    "client_uri": None,
    "logo_uri": "",
    "contacts": None,
    "jwks": None,
}
PLAIN = {"redirect_uris": [CALLBACK]}


def proxy_with(**registration: Any) -> ProxyConfig:
    return msgspec.structs.replace(PROXY, registration=msgspec.structs.replace(PROXY.registration, **registration))


async def post(body: object, context: Context | None = None, **request: Any) -> FacadeAnswer:
    return await register(make_request("POST", json=body, **request), context or make_context())


async def post_text(body: bytes, content_type: str = "application/json") -> FacadeAnswer:
    return await register(make_request("POST", body=body, headers={"content-type": content_type}), make_context())


async def registered(body: object, context: Context | None = None) -> dict[str, Any]:
    answer = await post(body, context)
    assert answer.status == 201, answer.body
    return body_of(answer)


async def error_of(body: object, context: Context | None = None) -> str:
    answer = await post(body, context)
    assert answer.status == 400
    document = body_of(answer)
    text = document["error_description"]
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & {'"', "\\"}
    error = document["error"]
    assert isinstance(error, str)
    return error


@pytest.mark.parametrize(
    ("body", "method"),
    [
        pytest.param(PYTHON_SDK, "none", id="Python SDK"),
        pytest.param(TYPESCRIPT_V1, "client_secret_post", id="TypeScript SDK v1"),
        pytest.param(TYPESCRIPT_V2, "none", id="TypeScript SDK v2"),
        pytest.param(CURSOR, "none", id="Cursor"),
        pytest.param(VS_CODE, "none", id="VS Code"),
        pytest.param(CHATGPT, "none", id="ChatGPT"),
        pytest.param(CLAUDE, "none", id="Claude"),
        pytest.param(CLAUDE_CODE, "none", id="Claude Code"),
        pytest.param(GEMINI, "client_secret_post", id="Gemini"),
        pytest.param(INSPECTOR, "none", id="Inspector"),
        pytest.param(MCP_REMOTE, "none", id="mcp-remote"),
        pytest.param(OPENCODE, "none", id="opencode"),
        pytest.param(CODEX, "none", id="Codex"),
        pytest.param(FASTMCP, "none", id="FastMCP"),
    ],
)
async def test_real_client_is_registered_with_all_its_redirect_uris(body: dict[str, Any], method: str) -> None:
    context = make_context()
    answer = await post(body, context)
    information = body_of(answer)
    assert answer.status == 201
    assert information["redirect_uris"] == body["redirect_uris"]
    assert information["token_endpoint_auth_method"] == method
    assert information["grant_types"] == BOTH_GRANTS
    assert information["response_types"] == ["code"]
    assert information["client_id_issued_at"] == int(NOW)
    # A method with a secret needs one in the answer, and one without must have none: clients refuse the rest.
    assert ("client_secret" in information) == (method != "none")
    assert information.get("client_secret_expires_at") == (0 if method != "none" else None)
    assert "" not in information.values()
    assert None not in information.values()
    for name in ("client_name", "client_uri", "scope", "application_type", "software_id"):
        assert information.get(name) == (body.get(name) or None)
    client = await context.clients.find(information["client_id"], NOW)
    assert client.redirect_uris == tuple(body["redirect_uris"])
    assert (client.auth_method, client.name) == (method, body["client_name"])
    assert len(information["client_id"]) < 700


async def test_answer_is_json_that_nobody_stores_and_scripts_may_read() -> None:
    answer = await post(PLAIN)
    assert header_of(answer, "content-type") == "application/json"
    assert header_of(answer, "cache-control") == "no-store"
    assert header_of(answer, "access-control-allow-origin") == "*"
    assert answer.event == "registered"
    assert answer.client_id == body_of(answer)["client_id"]


async def test_nothing_is_stored_and_every_replica_knows_the_client() -> None:
    information = await registered(CURSOR)
    client = await make_context().clients.find(information["client_id"], NOW)
    assert client.name == "Cursor"


async def test_same_registration_gives_another_client_each_time() -> None:
    one, two = [(await registered(GEMINI)) for _ in range(2)]
    assert one["client_id"] != two["client_id"]
    assert one["client_secret"] != two["client_secret"]


async def test_redirect_uri_that_is_not_allowed_is_dropped_and_the_answer_says_so() -> None:
    context = make_context(make_proxy_config(proxy_with(allowed_hosts=("claude.ai",))))
    information = await registered(CURSOR, context)
    allowed = ["cursor://anysphere.cursor-mcp/oauth/callback", "http://localhost:8787/callback"]
    assert information["redirect_uris"] == allowed
    client = await context.clients.find(information["client_id"], NOW)
    assert not client.allows_redirect("https://www.cursor.com/agents/mcp/oauth/callback")


async def test_redirect_uri_that_is_named_twice_is_registered_once() -> None:
    assert (await registered({"redirect_uris": [CALLBACK, CALLBACK]}))["redirect_uris"] == [CALLBACK]


async def test_redirect_uri_that_the_policy_names_may_be_registered_besides() -> None:
    uri = "https://partner.example/cb"
    context = make_context(make_proxy_config(proxy_with(allowed_hosts=("claude.ai",), redirect_uris=(uri,))))
    assert (await registered({"redirect_uris": [uri]}, context))["redirect_uris"] == [uri]


@pytest.mark.parametrize(
    "uris",
    [
        pytest.param([], id="none"),
        pytest.param(None, id="null"),
        pytest.param(["javascript:alert(1)"], id="script"),
        pytest.param(["data:text/html,x", "http://evil.example/cb", "https://x/#y"], id="all bad"),
        pytest.param(["https://example.com/" + "a" * 2000], id="very long"),
        pytest.param([""], id="empty"),
    ],
)
async def test_registration_without_an_allowed_redirect_uri_is_refused(uris: list[str] | None) -> None:
    assert await error_of({"redirect_uris": uris}) == "invalid_redirect_uri"


async def test_registration_without_redirect_uris_is_refused() -> None:
    assert await error_of({"client_name": "x"}) == "invalid_redirect_uri"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"token_endpoint_auth_method": "private_key_jwt"}, id="private_key_jwt"),
        pytest.param({"token_endpoint_auth_method": "client_secret_jwt"}, id="client_secret_jwt"),
        pytest.param({"token_endpoint_auth_method": "tls_client_auth"}, id="tls"),
        pytest.param({"token_endpoint_auth_method": "NONE"}, id="method in upper case"),
        pytest.param({"token_endpoint_auth_method": ["none"]}, id="method in a list"),
        pytest.param({"grant_types": ["client_credentials"]}, id="other grant"),
        pytest.param({"grant_types": ["implicit", "refresh_token"]}, id="no code grant"),
        pytest.param({"grant_types": "authorization_code"}, id="grants in a string"),
        pytest.param({"response_types": ["token"]}, id="implicit"),
        pytest.param({"response_types": ["code token"]}, id="hybrid"),
        pytest.param({"response_types": {"code": 1}}, id="response types in an object"),
        pytest.param({"client_name": 5}, id="name that is a number"),
        pytest.param({"client_name": "x" * 201}, id="long name"),
        pytest.param({"client_name": "a\nb"}, id="name with a newline"),
        pytest.param({"client_name": "a\x1bb"}, id="name with an escape"),
        pytest.param({"client_name": "a\x85b"}, id="name with a C1 control"),
        pytest.param({"scope": ["a"]}, id="scope in a list"),
        pytest.param({"scope": "x" * 2049}, id="long scope"),
        pytest.param({"contacts": "me@example.com"}, id="contacts in a string"),
        pytest.param({"contacts": ["x"] * 33}, id="many contacts"),
        pytest.param({"redirect_uris": CALLBACK}, id="redirect URIs in a string"),
        pytest.param({"redirect_uris": {CALLBACK: 1}}, id="redirect URIs in an object"),
        pytest.param({"redirect_uris": [CALLBACK, 5]}, id="redirect URI that is a number"),
        pytest.param({"redirect_uris": [[CALLBACK]]}, id="nested redirect URIs"),
        pytest.param({"redirect_uris": [f"http://127.0.0.1/{i}" for i in range(1000)]}, id="1,000 redirect URIs"),
        pytest.param({"redirect_uris": [f"https://example.com/{i}{'a' * 900}" for i in range(3)]}, id="much in all"),
    ],
)
async def test_metadata_that_is_wrong_or_too_much_is_refused(members: dict[str, Any]) -> None:
    assert await error_of({**PLAIN, **members}) == "invalid_client_metadata"


async def test_client_id_stays_short_enough_for_urls() -> None:
    for length in range(600, 1024, 8):
        answer = await post({"redirect_uris": [f"https://example.com/{'a' * length}"], "client_name": "n" * 200})
        if answer.status == 201:
            assert len(body_of(answer)["client_id"]) <= MAX_CLIENT_ID


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"5",
        b"{",
        b"{}x",
        b"redirect_uris=https%3A%2F%2Fexample.com",
        b'{"redirect_uris": ["http://localhost/a"], "redirect_uris": ["https://evil.example/"]}',
        b'{"redirect_uris": ["http://localhost/a"], "x": {"a": 1, "a": 2}}',
        b'{"redirect_uris": ["http://localhost/a"], "x": NaN}',
        b'{"redirect_uris": ["http://localhost/a"], "client_name": "\\ud800"}',
        b'{"redirect_uris": ["http://localhost/a"], "client_name": "\xff"}',
        b"[" * 60000,
        b'{"a":' * 10000,
    ],
)
async def test_body_that_is_not_one_unambiguous_json_object_is_refused(body: bytes) -> None:
    answer = await post_text(body)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_client_metadata")


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "text/html"])
async def test_body_of_another_content_type_is_refused(content_type: str) -> None:
    # A form of a foreign page can send these without asking the browser's leave.
    answer = await post_text(json.dumps(PLAIN).encode(), content_type)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_client_metadata")


async def test_content_type_may_have_a_charset() -> None:
    answer = await post_text(json.dumps(PLAIN).encode(), "Application/JSON; charset=utf-8")
    assert answer.status == 201


async def test_unknown_members_are_ignored() -> None:
    members = {"resource": "x", "client_id": "mine", "client_secret": "mine", "client_name#ja": "名", "x": {"y": [1]}}
    information = await registered({**PLAIN, **members})
    assert information["client_id"] != "mine"
    assert "client_secret" not in information
    assert "resource" not in information


async def test_name_in_any_language_is_kept() -> None:
    context = make_context()
    information = await registered({**PLAIN, "client_name": " Wetter für München 天気 "}, context)
    registration = open_as(context.seals, Registration, information["client_id"])
    assert registration is not None
    assert registration.name == "Wetter für München 天気"


@pytest.mark.parametrize(
    ("asked", "ours", "granted"),
    [
        (None, ("authorization_code", "refresh_token"), ["authorization_code", "refresh_token"]),
        ([], ("authorization_code", "refresh_token"), ["authorization_code", "refresh_token"]),
        (["authorization_code"], ("authorization_code", "refresh_token"), ["authorization_code"]),
        (BOTH_GRANTS, ("authorization_code",), ["authorization_code"]),
        (["implicit", *BOTH_GRANTS], ("authorization_code", "refresh_token"), BOTH_GRANTS),
    ],
)
async def test_client_gets_those_of_our_grant_types_that_it_asks_for(
    asked: list[str] | None, ours: tuple[Any, ...], granted: list[str]
) -> None:
    context = make_context(make_proxy_config(msgspec.structs.replace(PROXY, grant_types=ours)))
    information = await registered({**PLAIN, "grant_types": asked}, context)
    assert information["grant_types"] == granted
    assert list((await context.clients.find(information["client_id"], NOW)).grant_types) == granted


async def test_client_without_a_scope_is_told_all_there_is() -> None:
    config = make_proxy_config(verification={"supported_scopes": ("weather.read", "weather.write")})
    assert (await registered(PLAIN, make_context(config)))["scope"] == "weather.read weather.write"
    assert (await registered({**PLAIN, "scope": "weather.read"}, make_context(config)))["scope"] == "weather.read"


async def test_nobody_can_register_when_registration_is_turned_off() -> None:
    answer = await post(PLAIN, make_context(make_proxy_config(proxy_with(dynamic=False))))
    assert answer.status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_other_methods_are_refused_with_those_that_are_allowed(method: str) -> None:
    answer = await register(make_request(method), make_context())
    assert answer.status == 405
    assert header_of(answer, "allow") == "POST, OPTIONS"
