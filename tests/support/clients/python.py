"""The official Python SDK, and FastMCP's client on top of it."""

import asyncio
import warnings
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastmcp
import httpx2
from fastmcp.client.auth import OAuth

from tests.support.clients.client import Client
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.programs import accepts
from tests.support.mcp.client import McpSession, mcp_session

PATIENCE_S = 10.0
POLL_S = 0.02


class PythonClient:
    """A session of the SDK."""

    def __init__(self, session: McpSession) -> None:
        self._session = session

    async def tools(self) -> list[str]:
        return await self._session.tools()

    async def call(self, tool: str, **arguments: Any) -> Any:
        return await self._session.call(tool, **arguments)

    async def lose_access_token(self) -> None:
        # It refreshes by its own clock alone; after a 401 it logs in anew.
        self._session.expire_token()


@asynccontextmanager
async def python_client(url: str, browser: ScriptedBrowser) -> AsyncIterator[Client]:
    """A client that is connected, until the end of the block."""
    async with mcp_session(url, browser=browser) as session:
        yield PythonClient(session)


class FastMcpClient:
    """FastMCP's own; it opens the system's browser and listens for the callback itself."""

    def __init__(self, client: "fastmcp.Client[Any]", login: OAuth) -> None:
        self._client = client
        self._login = login

    async def tools(self) -> list[str]:
        return [tool.name for tool in await self._client.list_tools()]

    async def call(self, tool: str, **arguments: Any) -> Any:
        structured = (await self._client.call_tool(tool, arguments)).structured_content or {}
        return structured.get("result", structured)

    async def lose_access_token(self) -> None:
        self._login.context.token_expiry_time = 1


@asynccontextmanager
async def fastmcp_client(url: str, browser: ScriptedBrowser) -> AsyncIterator[Client]:
    """A client that is connected, until the end of the block."""
    with warnings.catch_warnings():
        # That tokens are gone with the process is what a test wants.
        warnings.filterwarnings("ignore", message="Using in-memory token storage", category=UserWarning)
        login = OAuth(url)
    async with _SystemBrowser.used_by(browser), fastmcp.Client(url, auth=login) as client:
        yield FastMcpClient(client, login)


class _SystemBrowser(webbrowser.BaseBrowser):
    """What ``webbrowser.open`` opens: the scripted browser, which goes all the way to the client's callback."""

    def __init__(self, user: ScriptedBrowser) -> None:
        super().__init__("scripted")
        self._user = user
        self._visits: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def used_by(cls, user: ScriptedBrowser) -> AsyncIterator[None]:
        """Makes it the browser of this process; the next one takes its place."""
        browser = cls(user)
        webbrowser.register("scripted", None, browser, preferred=True)
        yield
        if browser._visits:
            await asyncio.gather(*browser._visits)

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self._visits.add(asyncio.get_running_loop().create_task(self._visit(url)))
        return True

    async def _visit(self, url: str) -> None:
        redirect_uri = httpx2.URL(httpx2.URL(url).params["redirect_uri"])
        callback = await self._user.open(url, redirect_uri=str(redirect_uri))
        async with asyncio.timeout(PATIENCE_S):
            while not accepts(redirect_uri.host, redirect_uri.port or 80):
                await asyncio.sleep(POLL_S)
        async with self._user.network.client() as http:
            (await http.get(redirect_uri, params=callback)).raise_for_status()
