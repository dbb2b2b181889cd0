"""The MCP client of tests and stories, in front of the real sidecar and behind it."""

import pytest

from tests.examples.conftest import Laptop
from tests.support.identity.browser import ScriptedBrowser
from tests.support.mcp.client import ToolFailed, mcp_session


def open_url(laptop: Laptop) -> str:
    return f"http://localhost:{laptop.places.server}/mcp"


async def test_client_without_login_uses_an_open_server(laptop: Laptop) -> None:
    async with mcp_session(open_url(laptop)) as session:
        assert await session.tools() == ["whoami", "get_weather", "add"]
        assert await session.call("whoami") == {}
        assert await session.call("get_weather", city="Bonn") == "It is sunny in Bonn."
        with pytest.raises(ToolFailed):
            await session.call("add", a="two")
        with pytest.raises(ValueError, match="without login"):
            session.expire_token()

    assert {(exchange.status, exchange.has_token) for exchange in session.exchanges} == {(200, False)}
    assert session.access_token is None


async def test_server_tells_the_identity_headers_that_it_saw(laptop: Laptop) -> None:
    async with mcp_session(open_url(laptop), headers={"X-Mcp-User-Id": "alice", "X-Other": "no"}) as session:
        assert await session.call("whoami") == {"x-mcp-user-id": "alice"}


async def test_client_discovers_registers_and_logs_in_by_itself(laptop: Laptop) -> None:
    url, issuer = laptop.places.url, laptop.places.issuer_url
    async with mcp_session(url, browser=ScriptedBrowser()) as session:
        await session.tools()

    seen = [(e.method, e.url, e.status, e.has_token) for e in session.exchanges]
    assert seen[:6] == [
        ("POST", url, 401, False),
        ("GET", url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"), 200, False),
        ("GET", f"{issuer}/.well-known/oauth-authorization-server", 200, False),
        ("POST", f"{issuer}/reg", 201, False),
        ("POST", f"{issuer}/token", 200, False),
        ("POST", url, 200, True),
    ]
    assert all(e.url == url and e.status == 200 and e.has_token for e in session.exchanges[5:])


async def test_client_refreshes_without_a_new_login(laptop: Laptop) -> None:
    pages: list[object] = []
    browser = ScriptedBrowser(on_exchange=pages.append)
    async with mcp_session(laptop.places.url, browser=browser) as session:
        await session.tools()
        first, pages_of_login, before = session.access_token, len(pages), len(session.exchanges)
        session.expire_token()
        identity = await session.call("whoami")
        second = session.access_token

    assert identity["x-mcp-user-id"] == "alice"
    assert second not in (None, first)
    assert len(pages) == pages_of_login
    assert session.exchanges[before].url == f"{laptop.places.issuer_url}/token"
