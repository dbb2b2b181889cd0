"""How bytes reach the identity provider: this module is the transport below httpx, on the event loop's own TLS.

What httpx brings for this (httpcore, h11, anyio) costs 2 MB in each pod and a tenth of its start, for a few small pages
an hour. Connections and the reader of answers are those that the sidecar has for its server.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from socket import SOCK_STREAM

import httpx

from postern_sidecar.forward.connection import UpstreamConnection
from postern_sidecar.forward.faults import UpstreamFailed
from postern_sidecar.forward.pool import UpstreamPool

__all__ = ["Transport"]

_ADDRESS_S = 1.5
"""For one address of a name while there are others: one that does not answer must not take all the time."""
_UNSAFE = re.compile(rb"[\r\n\0]")

Address = tuple[int, str]
"""Family, IP address."""
_Origin = tuple[str, str, int]
"""Scheme, host in ASCII, port."""
_Create = Callable[[], UpstreamConnection]


async def _resolve(name: str) -> Iterable[Address]:
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=SOCK_STREAM)
    return [(family, str(address[0])) for family, *_, address in found]


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over TLS, or in plain text where the URL says http. Redirects, cookies and time are the caller's."""

    def __init__(
        self,
        trust: Callable[[], ssl.SSLContext],
        *,
        resolve: Callable[[str], Awaitable[Iterable[Address]]] = _resolve,
        address_s: float = _ADDRESS_S,
    ) -> None:
        """Take what gives the context for TLS; it is asked at each new connection, and may raise."""
        self._trust = trust
        self._resolve = resolve
        self._address_s = address_s
        self._pools: dict[_Origin, _Pool] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; give the head of its answer, and its body as a stream. Raises httpx.TransportError.

        A kept connection may close in the moment in which a request goes out: a GET is sent again on a fresh one.
        """
        message = _message(request, await request.aread())
        pool = self._pool(request.url)
        try:
            connection = await pool.acquire()
            try:
                return await _exchange(pool, connection, request.method, message)
            except UpstreamFailed:
                if request.method != "GET" or connection.exchanges == 1 or not connection.is_untouched:
                    raise
            return await _exchange(pool, await pool.acquire(fresh=True), request.method, message)
        except UpstreamFailed as failure:
            raise httpx.RemoteProtocolError(str(failure)) from failure

    async def aclose(self) -> None:
        """Close what is idle, and from now on each connection once its answer is read."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, url: httpx.URL) -> "_Pool":
        # By name and not by address: TLS proved the name, to each connection one.
        origin = (url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
        if origin not in self._pools:
            self._pools[origin] = _Pool(origin, partial(self._dial, origin))
        return self._pools[origin]

    async def _dial(self, origin: _Origin, create: _Create) -> UpstreamConnection:
        """Try one address after the other. Raises httpx.ConnectError."""
        scheme, name, port = origin
        tls = self._trust() if scheme == "https" else None

        async def connect(address: str) -> UpstreamConnection:
            _, connection = await asyncio.get_running_loop().create_connection(
                create, address, port, ssl=tls, server_hostname=name if tls else None
            )
            return connection

        try:
            *others, last = _interleaved(await self._resolve(name))
            for address in others:
                with suppress(OSError):  # too late is one, too
                    async with asyncio.timeout(self._address_s):
                        return await connect(address)
            return await connect(last)
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error


class _Pool(UpstreamPool):
    """The connections to one origin."""

    def __init__(self, origin: _Origin, dial: Callable[[_Create], Awaitable[UpstreamConnection]]) -> None:
        super().__init__(*origin[1:])
        self._dial = dial

    async def _connect(self) -> UpstreamConnection:
        return await self._dial(lambda: UpstreamConnection(self._forget))


class _Body(httpx.AsyncByteStream):
    """The body of one answer."""

    def __init__(self, pool: UpstreamPool, connection: UpstreamConnection) -> None:
        self._pool = pool
        self._connection = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give its pieces. Raises httpx.RemoteProtocolError when it is cut."""
        is_last = False
        while not is_last:
            try:
                data, is_last = await self._connection.read()
            except UpstreamFailed as failure:
                raise httpx.RemoteProtocolError(str(failure)) from failure
            yield data

    async def aclose(self) -> None:
        """Give the connection back; the pool closes it unless the body was read to its end."""
        self._pool.release(self._connection)


async def _exchange(pool: UpstreamPool, connection: UpstreamConnection, method: str, message: bytes) -> httpx.Response:
    connection.begin(method.encode("ascii"))
    connection.write(message)
    try:
        head = await connection.head()
    except BaseException:  # cancelled or failed: this connection serves nobody any more
        connection.abort()
        raise
    return httpx.Response(head.status, headers=head.headers, stream=_Body(pool, connection))


def _message(request: httpx.Request, body: bytes) -> bytes:
    """Give the bytes of a request. Raises httpx.LocalProtocolError for what must not get on the wire."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%b: %b" % (name.lower(), value) for name, value in request.headers.raw]
    if "transfer-encoding" in request.headers or any(map(_UNSAFE.search, lines)):
        raise httpx.LocalProtocolError("a body of unknown length, or a line break in a header")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _interleaved(addresses: Iterable[Address]) -> list[str]:
    """Take turns between the families, in the resolver's order otherwise (RFC 8305 section 4)."""
    families: dict[int, list[str]] = {}
    for family, address in addresses:
        families.setdefault(family, []).append(address)
    return [address for turn in zip_longest(*families.values()) for address in turn if address is not None]
