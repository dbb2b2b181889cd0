"""How a client reaches servers: names mapped to addresses like ``curl --resolve``, an authority to trust, a trace."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.request import Request

import httpx2

Listener = Callable[["Exchange"], None]

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and the head of its answer; nothing secret of either."""

    method: str
    url: str
    """Without query: codes and states travel there."""
    status: int
    parameters: tuple[str, ...]
    """Names of the query's parameters."""
    has_token: bool
    """Whether the request carried a bearer token."""
    challenge: str | None
    """The answer's ``WWW-Authenticate``."""

    def line(self) -> str:
        """It as one plain line."""
        token = " with a token" if self.has_token else ""
        challenge = f"  WWW-Authenticate: {self.challenge}" if self.challenge else ""
        return f"{self.method} {self.url}{token} -> {self.status}{challenge}"


@dataclass(frozen=True, slots=True)
class Network:
    """The way to the servers. As it stands: the machine's own resolver and trust, no proxy."""

    addresses: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """``host:port`` of a URL to the address and port to connect to; TLS still checks the name."""
    ca_file: Path | None = None
    """PEM certificates to trust besides the machine's."""

    def client(
        self,
        *,
        auth: httpx2.Auth | None = None,
        headers: Mapping[str, str] | None = None,
        on_exchange: Listener | None = None,
    ) -> httpx2.AsyncClient:
        """A new HTTP client that goes this way and tells ``on_exchange`` of every single request."""

        async def report(response: httpx2.Response) -> None:
            if on_exchange is not None:
                on_exchange(_seen(response))

        return httpx2.AsyncClient(
            auth=auth,
            headers=headers,
            cookies=CookieJar(_TrustworthyLoopback()),
            transport=_MappedTransport(self.addresses, self._trust()),
            event_hooks={"response": [report]},
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        return context


class _TrustworthyLoopback(DefaultCookiePolicy):
    """Sends ``Secure`` cookies to this machine without TLS too, as browsers do (Keycloak relies on it)."""

    def return_ok_secure(self, cookie: Cookie, request: Request) -> bool:
        # The jar knows "localhost" as localhost.local.
        loopback = cookie.domain.removesuffix(".local") in ("localhost", "127.0.0.1")
        return loopback or super().return_ok_secure(cookie, request)


def _seen(response: httpx2.Response) -> Exchange:
    request = response.request
    return Exchange(
        method=request.method,
        url=str(request.url.copy_with(query=None)),
        status=response.status_code,
        parameters=tuple(request.url.params),
        has_token=request.headers.get("authorization", "").lower().startswith("bearer "),
        challenge=response.headers.get("www-authenticate"),
    )


class _MappedTransport(httpx2.AsyncHTTPTransport):
    """Connects elsewhere than the URL says; Host header and TLS name stay those of the URL."""

    def __init__(self, addresses: Mapping[str, tuple[str, int]], trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust, trust_env=False)
        self._addresses = dict(addresses)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        target = self._addresses.get(request.url.netloc.decode())
        if target is None:
            return await super().handle_async_request(request)
        # A new request: cookies and redirects are worked out from the URL of the one that the client keeps.
        moved = httpx2.Request(
            request.method,
            request.url.copy_with(host=target[0], port=target[1]),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )
        return await super().handle_async_request(moved)
