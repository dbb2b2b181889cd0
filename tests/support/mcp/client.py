"""The official Python SDK as an MCP client, with the scripted browser for its logins."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from pydantic import AnyUrl

from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.network import Exchange, Listener, Network

REDIRECT_URI = "http://127.0.0.1:3030/callback"
"""Nobody listens there: the scripted browser stops before it and hands over the parameters."""


class ToolFailed(Exception):
    """The server said that the tool failed."""


class MemoryStorage(TokenStorage):
    """Tokens and registration of one client, for as long as it lives."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.registration: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.registration

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.registration = client_info


class McpSession:
    """An open connection to an MCP server; ``exchanges`` has every HTTP request in order, the browser's too."""

    def __init__(self, client: Client, login: "_Login | None", exchanges: list[Exchange]) -> None:
        self._client = client
        self._login = login
        self.exchanges = exchanges

    async def tools(self) -> list[str]:
        """The names of the server's tools."""
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, tool: str, **arguments: Any) -> Any:
        """What the tool gives back: its structured content, else its text. ``ToolFailed`` when it failed."""
        answer = await self._client.call_tool(tool, arguments)
        text = "".join(getattr(part, "text", "") for part in answer.content)
        if answer.is_error:
            raise ToolFailed(text)
        structured = answer.structured_content
        return text if structured is None else structured.get("result", structured)

    @property
    def access_token(self) -> str | None:
        """The token that the client uses; None without a login."""
        tokens = self._login.storage.tokens if self._login else None
        return tokens.access_token if tokens else None

    def expire_token(self) -> None:
        """Makes the client believe that its access token is over: it refreshes before the next request."""
        if self._login is None:
            raise ValueError("a session without login has no token")
        self._login.provider.context.token_expiry_time = 1


class _Login:
    """The SDK's OAuth, with a browser at its two open ends."""

    def __init__(self, url: str, browser: ScriptedBrowser) -> None:
        self.storage = MemoryStorage()
        self._browser = browser
        self._callback: dict[str, str] = {}
        self.provider = OAuthClientProvider(
            server_url=url,
            client_metadata=OAuthClientMetadata(redirect_uris=[AnyUrl(REDIRECT_URI)], client_name="MCP Python SDK"),
            storage=self.storage,
            redirect_handler=self._redirect,
            callback_handler=self._answer,
        )

    async def _redirect(self, url: str) -> None:
        self._callback = await self._browser.open(url, redirect_uri=REDIRECT_URI)

    async def _answer(self) -> AuthorizationCodeResult:
        got = self._callback
        return AuthorizationCodeResult(code=got.get("code", ""), state=got.get("state"), iss=got.get("iss"))


@asynccontextmanager
async def mcp_session(
    url: str,
    *,
    browser: ScriptedBrowser | None = None,
    network: Network | None = None,
    headers: Mapping[str, str] | None = None,
    on_exchange: Listener | None = None,
) -> AsyncIterator[McpSession]:
    """A session with the MCP server at ``url``, which logs in with ``browser`` when asked to; None: never does.

    ``headers`` are sent with every request.
    """
    exchanges: list[Exchange] = []

    def record(exchange: Exchange) -> None:
        exchanges.append(exchange)
        if on_exchange is not None:
            on_exchange(exchange)

    login = _Login(url, browser) if browser else None
    way = network or (browser.network if browser else Network())
    async with (
        way.client(auth=login.provider if login else None, headers=headers, on_exchange=record) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield McpSession(client, login, exchanges)
