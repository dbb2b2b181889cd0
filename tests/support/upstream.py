"""A server behind the sidecar that does exactly what a test tells it, byte by byte, on a real socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

__all__ = ["Connection", "Script", "Upstream", "answering", "serve"]

_PATIENCE_S = 5


class Connection:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.gone = asyncio.Event()
        """The other side closed or reset; set only while read_until_gone runs."""

    async def head(self) -> bytes:
        """The next request head, with its empty line."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        """So many bytes of a body."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self.reader.readexactly(size)

    async def chunks(self) -> bytes:
        """A chunked body, decoded."""
        body = b""
        async with asyncio.timeout(_PATIENCE_S):
            while size := int(await self.reader.readline(), 16):
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        return body

    async def request(self) -> tuple[bytes, bytes]:
        """The next request: head and body."""
        head = await self.head()
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            return head, await self.chunks()
        _, found, rest = head.partition(b"\r\ncontent-length: ")
        return head, await self.exactly(int(rest.split(b"\r\n")[0])) if found else b""

    async def send(self, *pieces: bytes) -> None:
        """Sends pieces, each drained."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def read_until_gone(self) -> bytes:
        """What still comes until the other side closes."""
        rest = b""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while data := await self.reader.read(65536):
                    rest += data
        except ConnectionError:
            pass
        self.gone.set()
        return rest

    def close(self) -> None:
        """Closes the connection."""
        self.writer.close()


Script = Callable[[Connection], Awaitable[None]]


class Upstream:
    """Runs a script for each connection and remembers them."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections: list[Connection] = []
        self.requests: list[tuple[bytes, bytes]] = []
        """Heads and bodies, as scripts choose to note them."""
        self.failures: list[BaseException] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.host = "127.0.0.1"
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Runs the script on one connection."""
        connection = Connection(reader, writer)
        self.connections.append(connection)
        task = asyncio.current_task()
        if task is not None:
            self.tasks.add(task)
        try:
            await self.script(connection)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except (AssertionError, TimeoutError, ValueError) as error:
            self.failures.append(error)
        finally:
            writer.close()


@asynccontextmanager
async def serve(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    """Serves on a free port of 127.0.0.1; a script that failed fails the test."""
    upstream = Upstream(script)
    server = await asyncio.start_server(upstream.accept, upstream.host, 0, limit=2**20, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for connection in upstream.connections:
            connection.writer.transport.abort()
        if upstream.tasks:
            await asyncio.wait(upstream.tasks, timeout=_PATIENCE_S)
        if upstream.failures:
            raise upstream.failures[0]


def answering(*answers: bytes, seen: list[tuple[bytes, bytes]] | None = None) -> Script:
    """A script that reads one request for each answer, on each connection anew, and notes what it read."""

    async def script(connection: Connection) -> None:
        for answer in answers:
            request = await connection.request()
            if seen is not None:
                seen.append(request)
            await connection.send(answer)
        await connection.read_until_gone()

    return script
