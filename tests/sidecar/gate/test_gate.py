"""The gate as a whole: its order, its four outcomes, and what each is on the wire."""

from typing import Any

import pytest

from postern_sidecar.gate.gate import Answer
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.outcome import Reason
from tests.sidecar.gate.conftest import MakeDoor
from tests.sidecar.gate.door import METADATA_URL, NOW, Door, body, config_for, values
from tests.support.fake_issuer import JWKS_PATH, METADATA_PATH, Behaviour
from tests.support.samples import sample
from tests.support.tokens import SigningPair

SCOPES = {"required_scopes": ("mcp:read",), "supported_scopes": ("mcp:read", "mcp:write")}


async def test_good_token_is_forwarded_with_its_principal(door: Door) -> None:
    """SPEC 1, 2."""
    decision = await door.forward("POST", "/mcp", door.bearer())
    assert decision.target == b"/mcp"
    assert decision.principal is not None
    assert decision.principal.subject == "alice"
    assert decision.response_headers == ()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "post", "FOO"])
@pytest.mark.parametrize("path", ["/mcp", "/", "/anything", "/mcp/x", "/.well-known/other", "/favicon.ico"])
async def test_everything_needs_a_token(door: Door, method: str, path: str) -> None:
    assert (await door.answer(method, path)).status == 401


async def test_no_credentials_get_a_challenge_without_an_error(make_door: MakeDoor) -> None:
    """SPEC 14, 27, 31."""
    answer = await make_door(verification=SCOPES).answer("POST", "/mcp")
    assert answer.status == 401
    expected = f'Bearer scope="mcp:read mcp:write", resource_metadata="{METADATA_URL}"'
    assert values(answer, "www-authenticate") == [expected]
    assert body(answer) == {"error": "unauthorized", "error_description": "An access token is required."}
    assert values(answer, "cache-control") == ["no-store"]


async def test_without_supported_scopes_none_are_asked_for(door: Door) -> None:
    answer = await door.answer("POST", "/mcp")
    assert values(answer, "www-authenticate") == [f'Bearer resource_metadata="{METADATA_URL}"']


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"exp": NOW - 60}, "The access token expired.", id="expired"),
        pytest.param({"aud": "https://other"}, "The access token is for another audience.", id="audience"),
        pytest.param({"iss": "https://other"}, "The access token is from another issuer.", id="issuer"),
        pytest.param({"nonce": "n"}, "The token is not an access token.", id="id-token"),
    ],
)
async def test_bad_token_is_401_and_says_why(make_door: MakeDoor, changes: dict[str, Any], text: str) -> None:
    """SPEC 2, 3, 4."""
    door = make_door(verification=SCOPES)
    answer = await door.answer("POST", "/mcp", door.bearer(**changes))
    assert answer.status == 401
    assert values(answer, "www-authenticate") == [
        f'Bearer error="invalid_token", error_description="{text}", '
        f'scope="mcp:read mcp:write", resource_metadata="{METADATA_URL}"'
    ]
    assert body(answer) == {"error": "invalid_token", "error_description": text}


async def test_missing_scope_is_403_with_all_that_is_needed(make_door: MakeDoor) -> None:
    """SPEC 4, 28, 29."""
    scopes = {"required_scopes": ("a", "b"), "supported_scopes": ("a", "b", "c")}
    door = make_door(verification=scopes)
    answer = await door.answer("POST", "/mcp", door.bearer(scope="a x"))
    assert answer.status == 403
    assert values(answer, "www-authenticate") == [
        'Bearer error="insufficient_scope", error_description="The access token lacks a required scope.", '
        f'scope="a b", resource_metadata="{METADATA_URL}"'
    ]
    assert body(answer)["error"] == "insufficient_scope"
    assert answer.principal is not None
    assert (await door.forward("POST", "/mcp", door.bearer(scope="b a"))).principal is not None


@pytest.mark.parametrize("path", [METADATA_PATH, JWKS_PATH])
@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.HTML, Behaviour.NOT_JSON])
async def test_outage_is_503_and_never_a_challenge(door: Door, path: str, behaviour: Behaviour) -> None:
    door.fake.behaviours = {path: behaviour}
    if path == METADATA_PATH:
        door.fake.behaviours["/.well-known/openid-configuration"] = behaviour
    answer = await door.answer("POST", "/mcp", door.bearer())
    assert answer.status == 503
    assert values(answer, "www-authenticate") == []
    assert values(answer, "retry-after") == ["5"]
    assert body(answer)["error"] == "temporarily_unavailable"


async def test_absent_ca_is_503_that_names_the_ca_bundle(make_door: MakeDoor) -> None:
    door = make_door(issuer={"private_ca": True})
    answer = await door.answer("POST", "/mcp", door.bearer())
    assert (answer.status, answer.reason) == (503, Reason.CA_UNAVAILABLE)
    assert "caBundle" in body(answer)["error_description"]


async def test_outage_does_not_hide_that_a_request_has_no_token(door: Door) -> None:
    door.fake.behaviours = {METADATA_PATH: Behaviour.ERROR}
    assert (await door.answer("POST", "/mcp")).status == 401
    assert door.fake.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("authorization", "Bearer a"), ("authorization", "Bearer a")], id="two"),
        pytest.param([("authorization", "Bearer")], id="bare"),
        pytest.param([("authorization", "Bearer ")], id="empty"),
        pytest.param([("authorization", "Bearer a b")], id="two-words"),
        pytest.param([("authorization", "Bearer a,b")], id="comma"),
        pytest.param([("authorization", 'Bearer "a"')], id="quoted"),
        pytest.param([("authorization", "Bearer a=b")], id="equals-inside"),
        pytest.param([("authorization", "Bearer tok\xe9n")], id="non-ascii"),
        pytest.param([("authorization", "Bearer\ta")], id="tab"),
        pytest.param([("authorization", "")], id="nothing"),
        pytest.param([("authorization", "=")], id="no-scheme"),
    ],
)
async def test_malformed_authorization_is_400(door: Door, headers: list[tuple[str, str]]) -> None:
    """SPEC 4, RFC 6750 section 3.1."""
    answer = await door.answer("POST", "/mcp", *headers)
    assert answer.status == 400
    assert values(answer, "www-authenticate")[0].startswith('Bearer error="invalid_request"')
    assert f'resource_metadata="{METADATA_URL}"' in values(answer, "www-authenticate")[0]


@pytest.mark.parametrize("value", ["Basic YTpi", "DPoP x", "Negotiate"])
async def test_other_scheme_counts_as_no_credentials(door: Door, value: str) -> None:
    answer = await door.answer("POST", "/mcp", ("authorization", value))
    assert (answer.status, answer.reason) == (401, Reason.NO_CREDENTIALS)


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "Bearer   "])
async def test_scheme_is_read_in_any_case(door: Door, scheme: str) -> None:
    value = f"  {scheme} {door.token()} "
    assert (await door.forward("POST", "/mcp", ("authorization", value))).principal is not None


async def test_token_in_the_query_never_counts(door: Door) -> None:
    """SPEC 5."""
    query = f"access_token={door.token()}".encode()
    asked = RequestHead("POST", b"/mcp", query, [(b"host", b"mcp.example.com")], "")
    decision = await door.gate.decide(asked, NOW)
    assert isinstance(decision, Answer)
    assert decision.reason is Reason.NO_CREDENTIALS


@pytest.mark.parametrize(("sent", "target"), [("/mcp", b"/api"), ("/mcp/", b"/api/"), ("/mcp/x", b"/mcp/x")])
async def test_endpoint_is_mapped_to_the_servers_path(make_door: MakeDoor, sent: str, target: bytes) -> None:
    door = make_door(server={"path": "/api"})
    assert (await door.forward("POST", sent, door.bearer())).target == target


async def test_public_path_passes_without_and_ignores_a_token(make_door: MakeDoor) -> None:
    door = make_door(server={"public_paths": ("/health", "/static/*")})
    for path in ("/health", "/static/a/b.css"):
        for headers in ([], [door.bearer()], [("authorization", "Bearer rubbish")], [("authorization", "")]):
            assert (await door.forward("GET", path, *headers)).principal is None
    assert (await door.answer("GET", "/health/x")).status == 401
    assert (await door.answer("GET", "/staticx")).status == 401
    assert door.fake.requests == []


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/%6dcp", "/api", "/%61pi/"])
async def test_endpoint_is_never_public(make_door: MakeDoor, path: str) -> None:
    door = make_door(server={"public_paths": ("/*", "/mcp", "/mcp/", "/api"), "path": "/api"})
    assert (await door.answer("POST", path)).status == 401


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "trace"])
async def test_methods_that_are_never_forwarded_are_405(door: Door, method: str) -> None:
    answer = await door.answer(method, "/mcp", door.bearer())
    assert answer.status == 405
    assert values(answer, "allow") == ["GET, POST, DELETE, OPTIONS"]


@pytest.mark.parametrize("path", [b"/a/../mcp", b"//mcp", b"/%2e%2e/mcp", b"/mcp%00", b"/a%2fb", b"*", b"", b"/\xff"])
async def test_ambiguous_path_is_400_even_with_a_token(door: Door, path: bytes) -> None:
    assert (await door.answer("POST", path, door.bearer())).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param([("host", "evil.example")], 421, id="host"),
        pytest.param([("host", "mcp.example.com"), ("host", "mcp.example.com")], 400, id="two-hosts"),
        pytest.param([("host", "a b")], 400, id="broken-host"),
        pytest.param([("origin", "https://evil.example")], 403, id="origin"),
        pytest.param([("origin", "null")], 403, id="null-origin"),
    ],
)
async def test_rebound_and_foreign_requests_are_refused_despite_a_token(
    make_door: MakeDoor, headers: list[tuple[str, str]], status: int
) -> None:
    """SPEC 66, 67: before tokens and also on public paths."""
    door = make_door(server={"public_paths": ("/health",)})
    for path in ("/mcp", "/health"):
        answer = await door.answer("POST", path, door.bearer(), *headers)
        assert answer.status == status
        assert values(answer, "www-authenticate") == []
        assert values(answer, "access-control-allow-origin") == []


async def test_missing_host_is_400(door: Door) -> None:
    decision = await door.gate.decide(RequestHead("GET", b"/mcp", b"", [], ""), NOW)
    assert isinstance(decision, Answer)
    assert decision.status == 400


@pytest.mark.parametrize("case", ["none", "rubbish", "expired", "scope"])
async def test_every_401_and_403_says_where_the_metadata_is(make_door: MakeDoor, case: str) -> None:
    """SPEC 14, 27, 28."""
    door = make_door(verification={"required_scopes": ("x",), "supported_scopes": ("x",)})
    cases = {
        "none": [],
        "rubbish": [("authorization", "Bearer rubbish")],
        "expired": [door.bearer(exp=1)],
        "scope": [door.bearer()],
    }
    for path in ("/mcp", "/other"):
        answer = await door.answer("POST", path, *cases[case])
        assert answer.status in (401, 403)
        assert f'resource_metadata="{METADATA_URL}"' in values(answer, "www-authenticate")[0]


async def test_fault_of_ours_is_503_and_counted_apart(fake_issuer: Any, rsa_pair: SigningPair) -> None:
    class Broken(RequestHead):
        def values(self, name: bytes) -> list[bytes]:
            raise RuntimeError("bug")

    door = Door(fake_issuer, rsa_pair, config_for(fake_issuer))
    decision = await door.gate.decide(Broken("GET", b"/mcp", b"", [], ""), NOW)
    assert isinstance(decision, Answer)
    assert (decision.status, decision.reason) == (503, Reason.INTERNAL)
    assert sample(door.metrics.registry, "postern_decisions_total", outcome="failed", reason="internal") == 1


async def test_decisions_are_counted_by_outcome_and_reason(door: Door) -> None:
    await door.ask("POST", "/mcp")
    await door.ask("POST", "/mcp", door.bearer())
    await door.ask("POST", "/mcp", door.bearer(exp=1))
    expected = [("unauthenticated", "no_credentials"), ("forwarded", "none"), ("invalid", "expired")]
    for outcome, reason in expected:
        assert sample(door.metrics.registry, "postern_decisions_total", outcome=outcome, reason=reason) == 1


async def test_snapshot_tells_the_state_of_the_issuer(door: Door) -> None:
    before = door.gate.snapshot()
    assert (before.reachable, before.jwks_keys, before.last_success, before.last_error) == (False, 0, None, None)
    assert door.gate.unready_reason()
    door.fake.metadata = {"code_challenge_methods_supported": ["S256"]}
    await door.ask("POST", "/mcp", door.bearer())
    after = door.gate.snapshot()
    assert (after.issuer, after.reachable, after.jwks_keys, after.pkce) == (door.fake.issuer, True, 1, True)
    assert (after.verified_tokens, after.registration, after.last_error) == (1, False, None)
    assert after.last_success is not None
    assert door.gate.unready_reason() is None
