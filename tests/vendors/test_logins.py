"""A login at every vendor: what arrives there is exactly right, and the server learns who it is."""

import json
from pathlib import Path

from postern_crds import key_ring
from postern_crds.sidecar_config import encode
from tests.sidecar.facade.building import make_ring
from tests.sidecar.process import run_sidecar
from tests.support.upstream import answering, serve
from tests.support.vendors.grants import CALLBACK, AuthorizationServer
from tests.vendors.cases import Case
from tests.vendors.scene import VendorJourney, rendered, running

ALWAYS = {"response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"}


async def test_login_refresh_and_calls_work_in_a_real_process(
    case: Case, vendor: AuthorizationServer, tmp_path: Path
) -> None:
    (tmp_path / "policy.json").write_text(encode(rendered(case.policy(vendor), vendor)))
    (tmp_path / "keys.json").write_text(key_ring.encode(make_ring()))
    (tmp_path / "client-secret").write_text(vendor.app.secret)
    seen: list[tuple[bytes, bytes]] = []
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with serve(answering(*[ok] * 9, seen=seen)) as server, run_sidecar(tmp_path, server.port) as sidecar:
        journey = VendorJourney(sidecar.port, case.scope)
        await journey.run()
        assert (await journey.call()).status_code == 200
        await journey.refresh()
        assert (await journey.call()).status_code == 200
        sidecar.terminate()
        text = json.dumps(await sidecar.rest())
    assert len(seen) == 2
    assert not [secret for secret in vendor.secrets if secret in text]


async def test_authorization_request_is_exactly_what_the_vendor_wants(case: Case, vendor: AuthorizationServer) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        await scene.journey(case.scope).run()
    (asked,) = vendor.asked(case.authorize)
    query = dict(asked.query)
    assert {name: query[name] for name in case.request} == case.request
    assert set(query) == ALWAYS | set(case.request) | ({"nonce"} if case.has_nonce else set())
    assert (query["client_id"], query["redirect_uri"]) == (vendor.app.id, CALLBACK)
    assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
    assert len(query["code_challenge"]) == 43
    assert len(query["state"]) >= 22


async def test_token_requests_are_exactly_what_the_vendor_wants(case: Case, vendor: AuthorizationServer) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.run()
        await journey.refresh()
    at_code, at_refresh = vendor.asked(case.token)
    credentials = {"client_id", "client_secret"} if case.authenticates_by == "client_secret_post" else set()
    redeemed = {"grant_type", "code", "redirect_uri", "code_verifier"}
    assert set(at_code.form) == redeemed | credentials | set(case.exchange)
    assert set(at_refresh.form) == {"grant_type", "refresh_token"} | credentials | set(case.exchange)
    for asked in (at_code, at_refresh):
        assert {name: asked.form[name] for name in case.exchange} == case.exchange
        assert ("authorization" in asked.headers) == (not credentials)
        assert asked.query == {}
        assert asked.headers["accept"] == "application/json"


async def test_server_learns_who_logged_in(case: Case, vendor: AuthorizationServer) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.run()
        assert (await journey.call()).status_code == 200
        said = scene.said_to_server()
        await journey.refresh()
        assert (await journey.call()).status_code == 200
        after_refresh = scene.said_to_server()
    prefixes = ("x-mcp-user-", "x-mcp-org-", "x-mcp-roles", "x-mcp-permissions", "x-mcp-scopes")
    for headers in (said, after_refresh):
        assert {name: value for name, value in headers.items() if name.startswith(prefixes)} == case.headers
        assert "authorization" not in headers


async def test_client_gets_the_scopes_it_asked_for_in_its_own_spelling(case: Case, vendor: AuthorizationServer) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.run()
        first = journey.tokens
        await journey.refresh()
    expected = case.granted if case.granted is not None else case.scope
    if expected is not None:
        assert (first["scope"], journey.tokens["scope"]) == (expected, expected)
    assert first["token_type"] == "Bearer"
    assert 0 < first["expires_in"] <= 3600
    assert journey.tokens["refresh_token"] != first["refresh_token"]
