"""Programs that refresh with one and the same token at the same time."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.clients.conftest import CLOSED_REALM, Protect
from tests.clients.stage import Place, policy, render, running_sidecar
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.network import Network
from tests.support.identity.programs import free_port
from tests.support.identity.provider import IdentityProvider, ProviderOptions, running_provider
from tests.support.identity.tokens import TokenRefused, Tokens, obtain_tokens, refresh
from tests.support.keycloak.running import Keycloak
from tests.support.mcp.client import mcp_session
from tests.support.mcp.launch import McpServer

SCOPE = "weather:read offline_access"


async def log_in(place: Place, browser: ScriptedBrowser) -> Tokens:
    return await obtain_tokens(place.issuer, place.url, scope=SCOPE, browser=browser)


async def total(place: Place, tokens: Tokens, network: Network | None = None) -> int:
    """What the server adds up for whoever has the token."""
    headers = {"authorization": f"Bearer {tokens.access_token}"}
    async with mcp_session(place.url, headers=headers, network=network) as session:
        return int(await session.call("add", a=2, b=3))


async def refreshed_at_once(tokens: Tokens, networks: Sequence[Network]) -> list[Tokens | BaseException]:
    """What each of them gets who asks over one of the networks."""
    asking = [refresh(tokens, network=network) for network in networks]
    return await asyncio.gather(*asking, return_exceptions=True)


async def test_all_get_tokens_that_work_from_one_replica_though_the_identity_provider_takes_the_token_once(
    protect: Protect, place: Place, provider: IdentityProvider, browser: ScriptedBrowser
) -> None:
    protect({"custom": {"issuer": provider.issuer}})
    tokens = await log_in(place, browser)

    got = await refreshed_at_once(tokens, [Network()] * 8)

    new = [answer for answer in got if isinstance(answer, Tokens)]
    assert len(new) == 8, got
    assert [await total(place, answer) for answer in new] == [5] * 8
    # The login goes on: each of the new refresh tokens is good.
    assert await total(place, await refresh(new[-1])) == 5


@contextmanager
def two_replicas(
    place: Place, server: McpServer, folder: Path, provider: Mapping[str, Mapping[str, str]]
) -> Iterator[list[Network]]:
    """The ways to two sidecars of one policy, both under the one address that clients know."""
    render(policy(place, provider), folder)
    with ExitStack() as stack:
        ports = [free_port() for _ in range(2)]
        for port in ports:
            stack.enter_context(running_sidecar(folder, server, place, port=port))
        yield [Network({f"localhost:{place.port}": ("127.0.0.1", port)}) for port in ports]


async def test_two_replicas_both_give_tokens_that_work_where_the_identity_provider_takes_the_token_again(
    place: Place, server: McpServer, browser: ScriptedBrowser, tmp_path: Path
) -> None:
    options = ProviderOptions(
        resources=(place.url,),
        default_resource=place.url,
        clients=(place.client,),
        registration=False,
        rotation=False,
    )
    with (
        running_provider(options) as provider,
        two_replicas(place, server, tmp_path / "configuration", {"custom": {"issuer": provider.issuer}}) as ways,
    ):
        await both_work(place, replace(browser, network=ways[0]), ways)


async def test_two_replicas_both_give_tokens_that_work_with_keycloak(
    place: Place, server: McpServer, keycloak: Keycloak, browser: ScriptedBrowser, tmp_path: Path
) -> None:
    provider = {"keycloak": {"url": keycloak.url, "realm": CLOSED_REALM}}
    with two_replicas(place, server, tmp_path / "configuration", provider) as ways:
        await both_work(place, replace(browser, network=ways[0]), ways)


async def both_work(place: Place, browser: ScriptedBrowser, ways: Sequence[Network]) -> None:
    tokens = await log_in(place, browser)
    got = await refreshed_at_once(tokens, ways)
    new = [answer for answer in got if isinstance(answer, Tokens)]
    assert len(new) == 2, got
    # Each at the other one.
    assert [await total(place, answer, way) for answer, way in zip(new, reversed(ways), strict=True)] == [5, 5]


async def test_two_replicas_never_break_where_the_identity_provider_takes_the_token_once(
    place: Place, server: McpServer, provider: IdentityProvider, browser: ScriptedBrowser, tmp_path: Path
) -> None:
    with two_replicas(place, server, tmp_path / "configuration", {"custom": {"issuer": provider.issuer}}) as ways:
        tokens = await log_in(place, replace(browser, network=ways[0]))
        got = await refreshed_at_once(tokens, ways)

    refused = [answer for answer in got if not isinstance(answer, Tokens)]
    assert len(refused) <= 1, got
    for answer in refused:
        # What makes clients log in again; anything of 500 would make them wait for better times.
        assert isinstance(answer, TokenRefused)
        assert "400" in str(answer)
        assert "invalid_grant" in str(answer)
