"""What clients meet at an MCP endpoint: open, refused with a challenge, or open after a login.

Every function gives back what it saw, and raises ``StepFailed`` when that is not what it is named for.
"""

import json
import re
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import httpx2
from mcp import MCPError
from mcp.client.auth import OAuthFlowError

from examples.demo.narrator import StepFailed, expect
from tests.support.identity.browser import LoginRefused, ScriptedBrowser, UnexpectedPage
from tests.support.identity.network import Exchange, Listener, Network
from tests.support.identity.tokens import TokenRefused, obtain_token
from tests.support.mcp.client import ToolFailed, mcp_session

T = TypeVar("T")

TIMEOUT_S = 60.0

_REFUSALS = (
    *(httpx2.HTTPError, httpx2.InvalidURL, json.JSONDecodeError, MCPError, OAuthFlowError, TimeoutError),
    *(LoginRefused, TokenRefused, ToolFailed, UnexpectedPage),
)
"""What a client meets when a server does not do as expected; anything else is a fault of the story itself."""

SCOPE = "weather:read"


@dataclass(frozen=True, slots=True)
class OpenCall:
    """An MCP session without any token."""

    tools: tuple[str, ...]
    total: int
    """What the tool ``add`` gave for 2 and 3."""
    identity: dict[str, str]
    """The identity headers that the server saw."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A plain HTTP answer that refuses."""

    status: int
    challenge: str
    body: str

    def lines(self) -> list[str]:
        """It as ``curl -i`` would show it, without the headers that say nothing here."""
        return [f"HTTP/1.1 {self.status}", f"WWW-Authenticate: {self.challenge}", "", self.body]

    def parameter(self, name: str) -> str | None:
        """The quoted parameter of the challenge."""
        found = re.search(rf'\b{name}="([^"]*)"', self.challenge)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class KnownCall:
    """An MCP session after a login."""

    exchanges: tuple[Exchange, ...]
    """Every HTTP request of the client, in order; the browser's are not among them."""
    identity: dict[str, str]
    """The identity headers that the server saw."""
    weather: str

    def told(self) -> list[str]:
        """The identity headers as plain lines; of all claims in one header only the beginning."""
        shown = {name: f"{value[:40]}…" if name == "x-mcp-claims" else value for name, value in self.identity.items()}
        return [f"{name}: {value}" for name, value in sorted(shown.items())]


def call_openly(url: str, *, network: Network | None = None) -> OpenCall:
    """Uses the server without a token."""

    async def use() -> OpenCall:
        async with mcp_session(url, network=network) as session:
            tools = tuple(await session.tools())
            return OpenCall(tools, await session.call("add", a=2, b=3), await session.call("whoami"))

    seen = _run(use(), "an open MCP server")
    expect(seen.total == 5 and not seen.identity, "the sum 5 and no identity", seen)
    return seen


def refused_without_token(url: str, *, issuer: str, network: Network | None = None) -> Refusal:
    """Sends a request without a token and follows the challenge to the issuer (RFC 9728 sections 3 and 5)."""
    seen = _post(url, network, token=None)
    expect(seen.status == 401, "status 401", seen)
    expect(seen.challenge.startswith("Bearer ") and seen.parameter("error") is None, "a plain Bearer challenge", seen)
    metadata_url = seen.parameter("resource_metadata")
    metadata = _get(metadata_url or "", network)
    expect(metadata.get("resource") == url, f"metadata for {url}", metadata)
    expect(metadata.get("authorization_servers") == [issuer], f"the issuer {issuer}", metadata)
    return seen


def refused_with_token(url: str, token: str, *, network: Network | None = None) -> Refusal:
    """Sends a token that must not be accepted."""
    seen = _post(url, network, token=token)
    expect(seen.status == 401 and seen.parameter("error") == "invalid_token", "401 and error invalid_token", seen)
    return seen


def served_with_token(url: str, token: str, *, network: Network | None = None) -> int:
    """Sends a first MCP message with a token that must be accepted; gives back the status."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "probe", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}

    async def send() -> int:
        async with (network or Network()).client(headers=headers) as http:
            return (await http.post(url, json=body)).status_code

    status = _run(send(), f"an answer of {url}")
    expect(status == 200, "status 200", status)
    return status


def call_after_login(url: str, browser: ScriptedBrowser, *, on_exchange: Listener | None = None) -> KnownCall:
    """Lets an MCP client find its way alone: discovery, registration, login, tools.

    It claims to be another user, which the server must not come to see.
    """
    forged = {"X-Mcp-User-Id": "mallory"}

    async def use() -> KnownCall:
        async with mcp_session(url, browser=browser, headers=forged, on_exchange=on_exchange) as session:
            identity = await session.call("whoami")
            weather = await session.call("get_weather", city="Gdynia")
        return KnownCall(tuple(session.exchanges), identity, weather)

    seen = _run(use(), "a login and an answer")
    expect(
        seen.identity.get("x-mcp-user-id") == browser.username, f"the server to see {browser.username}", seen.identity
    )
    expect(seen.exchanges[0].status == 401, "the first request to be refused", seen.exchanges[0])
    return seen


def token_for(issuer: str, resource: str, browser: ScriptedBrowser) -> str:
    """A real token for ``resource``, from a login."""
    return _run(obtain_token(issuer, resource, scope=SCOPE, browser=browser), "an access token")


def _post(url: str, network: Network | None, *, token: str | None) -> Refusal:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    async def send() -> Refusal:
        async with (network or Network()).client(headers=headers) as http:
            answer = await http.post(url)
            return Refusal(answer.status_code, answer.headers.get("www-authenticate", ""), answer.text)

    return _run(send(), f"an answer of {url}")


def _get(url: str, network: Network | None) -> dict[str, Any]:
    async def fetch() -> dict[str, Any]:
        async with (network or Network()).client() as http:
            document = (await http.get(url)).raise_for_status().json()
            return document if isinstance(document, dict) else {}

    return _run(fetch(), f"a JSON document at {url}")


def _run(work: Coroutine[Any, Any, T], expected: str) -> T:
    async def bounded() -> T:
        with anyio.fail_after(TIMEOUT_S):
            return await work

    try:
        return anyio.run(bounded)
    except (*_REFUSALS, ExceptionGroup) as error:
        leaves = list(_leaves(error))
        if not all(isinstance(leaf, _REFUSALS) for leaf in leaves):
            raise
        told = "; ".join(f"{type(leaf).__name__}: {leaf}" for leaf in leaves)
        raise StepFailed(f"expected {expected}, but saw {told}") from error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
