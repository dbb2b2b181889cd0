"""One guarded GET to a host that a stranger chose: this module fetches client documents (SPEC 36).

The name is resolved once, each of its addresses must be public, and the connection goes to exactly one of those: a
second answer of the name server changes nothing (DNS rebinding). TLS still proves the name. No redirects, cookies,
proxies, or connections kept, 5 s in all, 64 KiB.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from postern_sidecar.facade.document_rules import bad_document, host_of
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.public_addresses import Address, Resolver, is_public
from postern_sidecar.idp.client import SYSTEM_AUTHORITIES

__all__ = ["MAX_DOCUMENT_BYTES", "DocumentFetcher", "Fetched", "unreachable_document"]

MAX_DOCUMENT_BYTES = 64 * 1024
"""The draft advises 5 KB; documents with keys and translated names are longer."""
TOTAL_S = 5.0
_CONNECT_S = 1.5
"""For one address, so that there is time for another."""
_MAX_ADDRESSES = 3
_OUTAGES = frozenset({401, 403, 408, 425, 429})
"""Statuses below 500 that say nothing of the client: some hosts turn data centres away with 403."""
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "postern", "connection": "close"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer with status 200."""

    body: bytes
    content_type: str
    """In lower case, without parameters; empty when not stated."""
    max_age_s: int | None
    """max-age of Cache-Control (RFC 9111 section 5.2.2), 0 for no-store and no-cache; None: not stated."""


def unreachable_document(detail: str) -> OAuthFault:
    """Give the fault for a document that cannot be had for now; the detail is for the log."""
    text = "The metadata document of the client cannot be fetched at present."
    return OAuthFault("temporarily_unavailable", text, detail=detail)


def system_trust() -> ssl.SSLContext:
    """Give the trust in public authorities; the caBundle of a policy is for the identity provider alone."""
    # Hashed names are read one by one at need, whole bundles take time and memory.
    if any(SYSTEM_AUTHORITIES.glob("*.0")):
        return ssl.create_default_context(capath=SYSTEM_AUTHORITIES)
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


class DocumentFetcher:
    """Fetches; call it with a URL."""

    def __init__(
        self,
        *,
        resolve: Callable[[str], Awaitable[Sequence[Address]]] | None = None,
        is_public: Callable[[str], bool] = is_public,
        trust: Callable[[], ssl.SSLContext] = system_trust,
        total_s: float = TOTAL_S,
    ) -> None:
        """Take how names become addresses (None: by the system), which may be called, and whom TLS trusts."""
        self._resolve = resolve or Resolver()
        self._is_public = is_public
        self._trust = trust
        self._total_s = total_s
        self._context: ssl.SSLContext | None = None

    async def __call__(self, url: str) -> Fetched:
        """Fetch a document. Raises OAuthFault: invalid_client when it is refused, temporarily_unavailable otherwise."""
        host = host_of(url)
        try:
            async with asyncio.timeout(self._total_s) as total:
                return await self._try_each(url, host, await self._addresses(host), total)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise unreachable_document(f"no complete answer within {self._total_s:g} s") from error
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise unreachable_document(f"{type(error).__name__}: {error}") from error

    async def _addresses(self, host: str) -> list[Address]:
        try:
            addresses = list(dict.fromkeys(await self._resolve(host)))
        except (OSError, UnicodeError) as error:
            raise unreachable_document(f"the host has no address: {error}") from error
        # All of them: a name with one address outside and one inside is an attempt.
        if not addresses or not all(self._is_public(address) for address, _ in addresses):
            raise bad_document("the host has an address that is not public")
        return addresses[:_MAX_ADDRESSES]

    async def _try_each(self, url: str, host: str, addresses: Sequence[Address], total: asyncio.Timeout) -> Fetched:
        for address in addresses[:-1]:
            try:
                return await self._get(url, host, address, _connect_s(total))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._get(url, host, addresses[-1], _connect_s(total))

    async def _get(self, url: str, host: str, address: Address, connect_s: float) -> Fetched:
        if self._context is None:
            self._context = self._trust()
        target = httpx.URL(
            scheme="https",
            host=address[0],
            port=address[1],
            raw_path=url.removeprefix(f"https://{host}").removeprefix(":443").encode(),
        )
        # A client for each fetch: with kept connections, a host at the same address would be taken for this one, since
        # TLS proved the name of whoever came first.
        timeout = httpx.Timeout(self._total_s, connect=connect_s)
        async with (
            httpx.AsyncClient(verify=self._context, trust_env=False, timeout=timeout) as client,
            client.stream(
                "GET", target, headers={"host": host, **_HEADERS}, extensions={"sni_hostname": host}
            ) as response,
        ):
            return await _read(response)


def _connect_s(total: asyncio.Timeout) -> float:
    """Give the time for TCP, and as much again for TLS: together less than is left, for httpx leaks what is cut off."""
    left_s = (total.when() or 0.0) - asyncio.get_running_loop().time()
    return max(0.001, min(_CONNECT_S, left_s * 0.4))


async def _read(response: httpx.Response) -> Fetched:
    status = response.status_code
    if status in _OUTAGES or status >= 500:
        raise unreachable_document(f"status {status}")
    if status != 200:
        raise bad_document(f"status {status}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise bad_document("compressed although not asked to be")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise bad_document(f"more than {MAX_DOCUMENT_BYTES // 1024} KiB")
    content_type = str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()
    return Fetched(bytes(body), content_type, _max_age_s(response.headers.get("cache-control", "")))


def _max_age_s(cache_control: str) -> int | None:
    directives = [directive.strip().lower() for directive in cache_control.split(",")]
    if "no-store" in directives or "no-cache" in directives:
        return 0
    ages = [directive.partition("=")[2].strip('"') for directive in directives if directive.startswith("max-age=")]
    return int(ages[0]) if ages and ages[0].isascii() and ages[0].isdigit() and len(ages[0]) < 10 else None
