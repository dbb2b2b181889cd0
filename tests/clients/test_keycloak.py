"""Keycloak as the identity provider: mode Proxy in front of a realm where nobody registers, and mode Direct."""

import pytest

from postern_crds.sidecar_files import CLIENT_SECRET_FILE, INTROSPECTION_SECRET_FILE
from tests.clients.conftest import CLOSED_REALM, OPEN_REALM, Protect
from tests.clients.stage import CLIENT_ID, LOGIN, SECRET, Place
from tests.support.clients.client import Connect
from tests.support.clients.kinds import CLIENTS
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.tokens import TokenRefused, obtain_token
from tests.support.keycloak.realm import INTROSPECTION_CLIENT
from tests.support.keycloak.running import Keycloak

every_client = pytest.mark.parametrize("connect", [pytest.param(one, id=name) for name, one in CLIENTS.items()])


def provider(keycloak: Keycloak, realm: str) -> dict[str, dict[str, str]]:
    return {"keycloak": {"url": keycloak.url, "realm": realm}}


def listed(header: str) -> set[str]:
    return set(header.split(","))


async def test_nobody_registers_at_the_realm_itself(keycloak: Keycloak, place: Place, browser: ScriptedBrowser) -> None:
    with pytest.raises(TokenRefused, match="403"):
        await obtain_token(keycloak.issuer(CLOSED_REALM), place.url, scope="weather:read", browser=browser)


@every_client
async def test_client_logs_in_and_refreshes_through_postern(
    connect: Connect, protect: Protect, place: Place, keycloak: Keycloak, browser: ScriptedBrowser
) -> None:
    sidecar = protect(provider(keycloak, CLOSED_REALM))

    async with connect(place.url, browser) as client:
        known = await client.call("whoami")
        assert (known["x-mcp-user-username"], known["x-mcp-user-email"]) == ("alice", "alice@example.com")
        assert {"admin"} <= listed(known["x-mcp-roles"])
        assert {"weather:read", "weather:write"} <= listed(known["x-mcp-scopes"])
        await client.lose_access_token()
        assert await client.call("add", a=2, b=3) == 5

    assert sidecar.facade() == ["register: registered", *LOGIN, "token: refreshed"]


async def test_client_logs_in_again_when_keycloak_ended_the_login(
    protect: Protect, place: Place, keycloak: Keycloak, browser: ScriptedBrowser
) -> None:
    sidecar = protect(provider(keycloak, CLOSED_REALM))

    async with CLIENTS["python"](place.url, browser) as client:
        keycloak.revoke_logins(CLOSED_REALM, CLIENT_ID)
        await client.lose_access_token()
        assert await client.call("add", a=2, b=3) == 5

    assert sidecar.facade() == ["register: registered", *LOGIN, "token: invalid_grant", *LOGIN]


async def test_tokens_that_are_handed_out_as_they_are_end_with_the_login_when_keycloak_is_asked(
    protect: Protect, place: Place, keycloak: Keycloak, browser: ScriptedBrowser
) -> None:
    client = {"id": CLIENT_ID, "secretRef": {"name": "idp", "key": "secret"}}
    asking = {"clientID": INTROSPECTION_CLIENT.id, "secretRef": {"name": "idp", "key": "introspection"}}
    sidecar = protect(
        provider(keycloak, CLOSED_REALM),
        secrets={CLIENT_SECRET_FILE: SECRET, INTROSPECTION_SECRET_FILE: INTROSPECTION_CLIENT.secret},
        proxy={"client": client, "tokenMode": "Passthrough"},
        verification={"kind": "Introspection", "introspection": {**asking, "cacheSeconds": 0}},
    )

    async with CLIENTS["python"](place.url, browser) as connected:
        assert (await connected.call("whoami"))["x-mcp-user-email"] == "alice@example.com"
        keycloak.revoke_logins(CLOSED_REALM, CLIENT_ID)
        # The SDK logs in anew when it is refused.
        assert await connected.call("add", a=2, b=3) == 5

    assert sidecar.facade() == ["register: registered", *LOGIN, *LOGIN]


async def test_client_registers_at_keycloak_itself_in_mode_direct(
    protect: Protect, place: Place, keycloak: Keycloak, browser: ScriptedBrowser
) -> None:
    sidecar = protect(provider(keycloak, OPEN_REALM), mode="Direct", proxy=None, secrets={})

    async with CLIENTS["python"](place.url, browser) as client:
        known = await client.call("whoami")
        # No more than this: a registration that names scopes loses the realm's own, such as email.
        assert known["x-mcp-user-id"]
        assert {"weather:read", "weather:write"} <= listed(known["x-mcp-scopes"])
        await client.lose_access_token()
        assert await client.call("add", a=2, b=3) == 5

    assert sidecar.facade() == []
