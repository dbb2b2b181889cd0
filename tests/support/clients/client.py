"""What all MCP clients of the tests can do."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from tests.support.identity.browser import ScriptedBrowser


class ClientFailed(Exception):
    """The client could not do what it was asked to; the message is what it said."""


class Client(Protocol):
    """One that is connected."""

    async def tools(self) -> list[str]:
        """The names of the server's tools."""

    async def call(self, tool: str, **arguments: Any) -> Any:
        """What the tool gives back."""

    async def lose_access_token(self) -> None:
        """Has it find its access token worthless at its next request: it refreshes."""


Connect = Callable[[str, ScriptedBrowser], AbstractAsyncContextManager[Client]]
"""Connects to the MCP server at a URL, and logs in with the browser when asked to."""
