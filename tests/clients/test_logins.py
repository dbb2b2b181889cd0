"""Clients that know nothing but the URL log in at an identity provider that lets nobody register."""

from dataclasses import replace
from functools import partial

import pytest

from tests.clients.conftest import Protect
from tests.clients.stage import LOGIN, Place
from tests.support.clients.client import ClientFailed, Connect
from tests.support.clients.kinds import CLIENTS
from tests.support.clients.typescript import typescript_client
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.provider import IdentityProvider

every_client = pytest.mark.parametrize("connect", [pytest.param(one, id=name) for name, one in CLIENTS.items()])


@every_client
async def test_client_logs_in_refreshes_and_logs_in_again_when_that_fails(
    connect: Connect, protect: Protect, place: Place, provider: IdentityProvider, browser: ScriptedBrowser
) -> None:
    sidecar = protect({"custom": {"issuer": provider.issuer}})

    async with connect(place.url, browser) as client:
        assert await client.tools() == ["whoami", "get_weather", "add"]
        known = await client.call("whoami")
        assert (known["x-mcp-user-id"], known["x-mcp-user-email"]) == ("alice", "alice@example.com")
        assert known["x-mcp-scopes"] == "weather:read,weather:write"
        await client.lose_access_token()
        assert await client.call("add", a=2, b=3) == 5
        provider.revoke_logins()
        await client.lose_access_token()
        assert await client.call("add", a=3, b=4) == 7

    assert sidecar.requests()[:3] == [
        "POST /mcp 401",
        "GET /.well-known/oauth-protected-resource/mcp 200",
        "GET /.well-known/oauth-authorization-server 200",
    ]
    assert sidecar.facade() == [
        "register: registered",
        *LOGIN,
        "token: refreshed",
        "token: invalid_grant",
        *LOGIN,
    ]


READ, WRITE = "weather:read", "weather:write"


@pytest.mark.parametrize(
    "connect", [pytest.param(one, id=name) for name, one in CLIENTS.items() if name != "typescript-v1"]
)
async def test_client_asks_for_more_when_the_policy_does(
    connect: Connect, protect: Protect, place: Place, provider: IdentityProvider, browser: ScriptedBrowser
) -> None:
    issuer = {"custom": {"issuer": provider.issuer}}
    sidecar = protect(issuer, scopes={"required": [READ], "supported": [READ]})

    async with connect(place.url, browser) as client:
        assert (await client.call("whoami"))["x-mcp-scopes"] == READ
        sidecar.change(issuer, scopes={"required": [READ, WRITE]})
        assert (await client.call("whoami"))["x-mcp-scopes"] == f"{READ},{WRITE}"

    assert "POST /mcp 403" in sidecar.requests()
    # The registration is the same: its scope is no limit.
    assert sidecar.facade() == ["register: registered", *LOGIN, *LOGIN]


async def test_client_that_refreshes_before_it_asks_for_more_logs_in_anew(
    protect: Protect, place: Place, provider: IdentityProvider, browser: ScriptedBrowser
) -> None:
    issuer = {"custom": {"issuer": provider.issuer}}
    sidecar = protect(issuer, scopes={"required": [READ], "supported": [READ]})

    async with CLIENTS["typescript-v1"](place.url, browser) as client:
        sidecar.change(issuer, scopes={"required": [READ, WRITE]})
        assert (await client.call("whoami"))["x-mcp-scopes"] == f"{READ},{WRITE}"

    assert sidecar.facade() == ["register: registered", *LOGIN, "token: invalid_grant", *LOGIN]


@pytest.mark.parametrize(
    "connect",
    [
        pytest.param(partial(typescript_client, "v1", auth_method="client_secret_basic"), id="basic"),
        pytest.param(partial(typescript_client, "v2", auth_method="client_secret_post"), id="post"),
    ],
)
async def test_client_that_wants_a_secret_logs_in_and_refreshes_with_it(
    connect: Connect, protect: Protect, place: Place, provider: IdentityProvider, browser: ScriptedBrowser
) -> None:
    sidecar = protect({"custom": {"issuer": provider.issuer}})

    async with connect(place.url, browser) as client:
        await client.lose_access_token()
        assert await client.call("add", a=2, b=3) == 5

    assert sidecar.facade() == ["register: registered", *LOGIN, "token: refreshed"]


async def test_client_hears_that_its_user_refused(
    protect: Protect, place: Place, provider: IdentityProvider, browser: ScriptedBrowser
) -> None:
    sidecar = protect({"custom": {"issuer": provider.issuer}})

    with pytest.raises(ClientFailed, match="access_denied"):
        async with CLIENTS["typescript-v2"](place.url, replace(browser, allows=False)):
            pass

    assert sidecar.facade() == ["register: registered", "authorize: consent_asked", "consent: access_denied"]
