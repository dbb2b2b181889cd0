"""One bounded request: this module is the only place from which the identity provider is called.

Bounds: 5 s in all, 512 KiB, https (or http on loopback), three redirects of a page within the same origin. No cookies,
no proxies or credentials from the environment: what the sidecar trusts is in the policy alone.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import httpx

from postern_sidecar.errors import CaUnavailable, IdpRefused, IdpUnreachable, MalformedDocument
from postern_sidecar.idp.transport import Transport

__all__ = ["MAX_BYTES", "TOTAL_S", "Answer", "IdpClient", "Page", "explain"]

TOTAL_S = 5.0
"""For a whole fetch, redirects included. A request that waits for keys waits no longer."""
MAX_BYTES = 512 * 1024
"""A key set of hundreds of keys with certificates stays well below."""
MAX_REDIRECTS = 3
SYSTEM_AUTHORITIES = Path(ssl.get_default_verify_paths().openssl_capath)
"""The directory in which OpenSSL looks for public certificate authorities."""
_MAX_AT_ONCE = 32
"""Requests under way. Keys and metadata need one; logins and refreshes come in bursts, each waiting for the other
side."""
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer with status 200."""

    url: str
    """Where it was found, after redirects."""
    body: bytes
    content_type: str
    """In lower case, without parameters; empty when not stated."""
    max_age_s: int | None
    """max-age of Cache-Control (RFC 9111 section 5.2.2.1); None: not stated."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of whatever status."""

    url: str
    status: int
    body: bytes
    content_type: str
    """In lower case, without parameters; empty when not stated."""


class IdpClient:
    """Fetches pages of the identity provider; keeps connections between fetches."""

    def __init__(
        self,
        ca_pem: bytes | None,
        *,
        ca_required: bool,
        total_s: float = TOTAL_S,
        authorities: Path = SYSTEM_AUTHORITIES,
    ) -> None:
        """Take the PEM certificates of the caBundle, added to the public trust. Required and None: each get fails."""
        self._ca_pem = ca_pem
        self._authorities = authorities
        self._total_s = total_s
        self._ca_required = ca_required
        self._tls: ssl.SSLContext | None = None
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)
        self._client = httpx.AsyncClient(
            transport=Transport(self._trust),
            trust_env=False,
            # One user's cookies must not travel with another's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # No compression: a small answer cannot grow beyond the size bound.
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "postern"},
        )

    async def get(self, url: str) -> Page:
        """Fetch a page. Raises an IdpError that says where and what; never anything else."""
        async with self._bounded(url):
            return await _follow(self._client, url)

    async def post(self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a form (application/x-www-form-urlencoded); else as send."""
        fixed = {"content-type": "application/x-www-form-urlencoded"}
        return await self.send("POST", url, headers={**fixed, **(headers or {})}, body=urlencode(form).encode())

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request and give its answer, whatever its status; redirects are not followed.

        Raises an IdpError that says where and what, without anything of the headers and the body; never anything else.
        """
        async with (
            self._bounded(url),
            self._client.stream(method, url, headers=dict(headers or {}), content=body or None) as response,
        ):
            return Answer(url, response.status_code, await _read_body(response, url), _content_type(response))

    @asynccontextmanager
    async def _bounded(self, url: str) -> AsyncIterator[None]:
        """Check the URL, bound the time, and turn what goes wrong into an IdpError."""
        _check_scheme(url)
        if self._ca_pem is None and self._ca_required:
            raise CaUnavailable("the policy names a caBundle, but ca.crt is absent: create its ConfigMap and key")
        try:
            async with asyncio.timeout(self._total_s), self._slots:
                yield
        except (TimeoutError, httpx.TimeoutException) as error:
            raise IdpUnreachable(f"no complete answer within {self._total_s:g} s from {url}") from error
        except httpx.LocalProtocolError:
            # Its text shows the header that cannot be sent, and that may be a secret.
            raise IdpUnreachable(f"the request to {url} cannot be sent: one of its headers is malformed") from None
        except httpx.HTTPError as error:
            raise IdpUnreachable(f"{type(error).__name__} at {url}: {error}") from error
        except (httpx.InvalidURL, ValueError) as error:
            raise MalformedDocument(f"not a usable URL: {url}: {error}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _trust(self) -> ssl.SSLContext:
        # Made at the first connection with TLS, for start-up does not wait for it; then shared by all.
        if self._tls is None:
            context = _public_trust(self._authorities)
            if self._ca_pem is not None:
                try:
                    context.load_verify_locations(cadata=self._ca_pem.decode("ascii"))
                except (ValueError, ssl.SSLError) as error:
                    raise CaUnavailable(f"ca.crt of the caBundle holds no usable PEM certificate: {error}") from error
            self._tls = context
        return self._tls


def _public_trust(authorities: Path) -> ssl.SSLContext:
    # Hashed names: OpenSSL opens the one file that a handshake asks for. Reading all of them takes 40 ms and 2 MB, so
    # that is for systems without such a directory, together with the authorities that come with httpx.
    if any(authorities.glob("*.0")):
        return ssl.create_default_context(capath=authorities)
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


async def _follow(client: httpx.AsyncClient, url: str) -> Page:
    origin = _origin(url)
    for _ in range(MAX_REDIRECTS + 1):
        async with client.stream("GET", url) as response:
            if not response.has_redirect_location:
                return await _read(response, url)
            target = urljoin(url, response.headers["location"])
        if _origin(target) != origin:
            raise MalformedDocument(f"{url} redirects to another origin, {target}: give the final URL")
        url = target
    raise MalformedDocument(f"more than {MAX_REDIRECTS} redirects, last to {url}")


async def _read(response: httpx.Response, url: str) -> Page:
    status = response.status_code
    if status == 429 or status >= 500:
        raise IdpUnreachable(f"status {status} from {url}")
    if status != 200:
        raise IdpRefused(f"status {status} from {url}")
    body = await _read_body(response, url)
    age = _MAX_AGE.search(response.headers.get("cache-control", ""))
    return Page(url, body, _content_type(response), int(age.group(1)) if age else None)


async def _read_body(response: httpx.Response, url: str) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise MalformedDocument(f"compressed although not asked to be: {url}")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BYTES:
            raise MalformedDocument(f"more than {MAX_BYTES // 1024} KiB at {url}")
    return bytes(body)


def _content_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _check_scheme(url: str) -> None:
    try:
        parts = urlsplit(url)
        if (parts.scheme == "https" and parts.hostname) or (
            parts.scheme == "http" and _is_loopback(parts.hostname or "")
        ):
            return
    except ValueError as error:
        raise MalformedDocument(f"not a URL: {url!r}: {error}") from error
    raise MalformedDocument(f"neither https nor http on loopback: {url!r}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_html(page: Page) -> bool:
    """Whether a page is meant for people: a catch-all route answered, or a login wall."""
    return page.content_type in ("text/html", "application/xhtml+xml") or page.body.lstrip()[:1] == b"<"


def explain(page: Page, error: ValueError) -> MalformedDocument:
    """Give the error for a page that is not the JSON object it should be."""
    if _is_html(page):
        return MalformedDocument(f"answered HTML instead of JSON at {page.url}")
    return MalformedDocument(f"not what it should be at {page.url}: {error}")
