"""What clients hold, and how it is verified: tokens of the identity provider's own, signed and opaque."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from postern_crds.sidecar_files import CLIENT_SECRET_FILE, INTROSPECTION_SECRET_FILE
from tests.clients.conftest import Protect
from tests.clients.stage import CLIENT_ID, LOGIN, SECRET, Place
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.provider import IdentityProvider, ProviderOptions, running_provider
from tests.support.mcp.client import mcp_session

ASKED_EACH_TIME: Mapping[str, Any] = {"kind": "Introspection", "introspection": {"cacheSeconds": 0}}
PASSTHROUGH: Mapping[str, Any] = {
    "client": {"id": CLIENT_ID, "secretRef": {"name": "idp", "key": "secret"}},
    "tokenMode": "Passthrough",
}


@pytest.fixture(scope="module")
def opaque(place: Place) -> Iterator[IdentityProvider]:
    """Nobody else can read its access tokens."""
    options = ProviderOptions(resources=(place.url,), default_resource=place.url, clients=(place.client,), opaque=True)
    with running_provider(options) as running:
        yield running


def is_signed(token: str | None) -> bool:
    return (token or "").count(".") == 2


async def test_sealed_token_over_an_opaque_one(
    protect: Protect, place: Place, opaque: IdentityProvider, browser: ScriptedBrowser
) -> None:
    sidecar = protect({"custom": {"issuer": opaque.issuer}}, verification=ASKED_EACH_TIME)

    async with mcp_session(place.url, browser=browser) as session:
        known = await session.call("whoami")
        assert (known["x-mcp-user-id"], known["x-mcp-user-email"]) == ("alice", "alice@example.com")
        opaque.revoke_logins()
        # It was ours, and is good until it expires.
        assert await session.call("add", a=2, b=3) == 5

    assert sidecar.facade() == ["register: registered", *LOGIN]


async def test_opaque_token_that_is_handed_out_ends_with_the_login(
    protect: Protect, place: Place, opaque: IdentityProvider, browser: ScriptedBrowser
) -> None:
    sidecar = protect({"custom": {"issuer": opaque.issuer}}, verification=ASKED_EACH_TIME, proxy=PASSTHROUGH)

    async with mcp_session(place.url, browser=browser) as session:
        assert (await session.call("whoami"))["x-mcp-user-id"] == "alice"
        held = session.access_token or ""
        assert "." not in held
        opaque.revoke_logins()
        assert await session.call("add", a=2, b=3) == 5
        assert session.access_token != held

    assert sidecar.facade() == ["register: registered", *LOGIN, *LOGIN]


async def test_signed_token_is_handed_out_as_it_is_and_refreshed(
    protect: Protect, place: Place, provider: IdentityProvider, browser: ScriptedBrowser
) -> None:
    sidecar = protect({"custom": {"issuer": provider.issuer}}, proxy=PASSTHROUGH)

    async with mcp_session(place.url, browser=browser) as session:
        assert (await session.call("whoami"))["x-mcp-user-id"] == "alice"
        held = session.access_token
        assert is_signed(held)
        session.expire_token()
        assert await session.call("add", a=2, b=3) == 5
        assert is_signed(session.access_token)
        assert session.access_token != held

    assert sidecar.facade() == ["register: registered", *LOGIN, "token: refreshed"]


async def test_opaque_token_of_mode_direct_is_verified_by_asking(
    protect: Protect, place: Place, opaque: IdentityProvider, browser: ScriptedBrowser
) -> None:
    asking = {"clientID": CLIENT_ID, "secretRef": {"name": "idp", "key": "secret"}, "cacheSeconds": 0}
    protect(
        {"custom": {"issuer": opaque.issuer}},
        secrets={INTROSPECTION_SECRET_FILE: SECRET},
        mode="Direct",
        proxy=None,
        verification={"kind": "Introspection", "introspection": asking},
    )

    async with mcp_session(place.url, browser=browser) as session:
        assert (await session.call("whoami"))["x-mcp-user-id"] == "alice"
        held = session.access_token
        opaque.revoke_logins()
        assert await session.call("add", a=2, b=3) == 5
        assert session.access_token != held


async def test_secret_that_the_identity_provider_refuses_is_no_reason_to_log_in_again(
    protect: Protect, place: Place, opaque: IdentityProvider, browser: ScriptedBrowser
) -> None:
    """Whoever cannot ask does not know: 503, never 401."""
    sidecar = protect(
        {"custom": {"issuer": opaque.issuer}},
        verification={
            **ASKED_EACH_TIME,
            "introspection": {
                "clientID": CLIENT_ID,
                "secretRef": {"name": "idp", "key": "introspection"},
                "cacheSeconds": 0,
            },
        },
        secrets={CLIENT_SECRET_FILE: SECRET, INTROSPECTION_SECRET_FILE: "wrong"},
        proxy=PASSTHROUGH,
    )
    async with browser.network.client() as http:
        answer = await http.post(place.url, headers={"authorization": "Bearer some-opaque-token"}, json={})

    assert answer.status_code == 503
    assert "www-authenticate" not in answer.headers
    assert sidecar.requests() == ["POST /mcp 503"]
