"""What stands before several servers of one host: TLS ends here, and the path says whose request it is.

A small Ingress, with pages of other hosts beside it for those who wish no good.
"""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

MAX_HEAD_BYTES = 65536
START_TIMEOUT_S = 10.0


class Front:
    """One that listens on loopback, plain when it has no ``tls``."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self.port = port
        self._tls = tls
        self._routes: dict[str, int] = {}
        self._pages: dict[tuple[str, str], str] = {}
        self._tokens: set[bytes] = set()
        self._spoilt: frozenset[bytes] = frozenset()
        self._stop = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def route(self, host: str, prefix: str, port: int) -> None:
        """Sends what comes for ``host`` below ``prefix`` to ``port`` of this machine, well-known documents too."""
        self._routes[f"{host}{prefix}"] = port

    def page(self, host: str, path: str, html: str) -> str:
        """Shows a page; gives back its URL."""
        self._pages[host, path] = html
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def spoil_tokens(self) -> None:
        """From now on no server accepts an access token that came by so far: as if all expired, without the wait."""
        self._spoilt = frozenset(self._tokens)

    async def run(self, ready: "Future[None]") -> None:
        """Serves until ``stop``."""
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, ssl=self._tls, limit=MAX_HEAD_BYTES, start_serving=True
        )
        ready.set_result(None)
        await self._stop.wait()
        server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def stop(self) -> None:
        """Ends ``run``, from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Held here: nothing else keeps a task alive whose connection is silent.
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Browsers open connections ahead of time and drop them as they like.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            host, path = _target(head)
            if (html := self._pages.get((host, path))) is not None:
                writer.write(_answer(200, html))
            elif (port := self._port(host, path)) is not None:
                await _forward(self._passed_on(head), reader, writer, port)
            else:
                writer.write(_answer(404, "<p>Nothing here.</p>"))
            await writer.drain()

    def _passed_on(self, head: bytes) -> bytes:
        # The connection ends after each request, so that each one is looked at.
        lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
        for place, line in enumerate(lines):
            if line.lower().startswith(b"authorization: bearer "):
                self._tokens.add(line)
                lines[place] = b"authorization: Bearer spoilt" if line in self._spoilt else line
        return b"\r\n".join([*lines, b"connection: close", b"", b""])

    def _port(self, host: str, path: str) -> int | None:
        parts = path.split("/")
        # /.well-known/<kind>/<prefix>/… belongs to the prefix (RFC 8414 section 3.1, RFC 9728 section 3.1).
        below = "/" + "/".join(parts[3:]) if parts[1:2] == [".well-known"] else path
        fitting = [key for key in self._routes if f"{host}{below}/".startswith(f"{key}/")]
        return self._routes[max(fitting, key=len)] if fitting else None


def _target(head: bytes) -> tuple[str, str]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return headers.get("host", "").rpartition(":")[0], first.split(" ")[1].partition("?")[0]


def _answer(status: int, html: str) -> bytes:
    body = html.encode()
    head = f"HTTP/1.1 {status} -\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body


async def _forward(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
    to_server.write(head)
    upload = asyncio.ensure_future(_pump(reader, to_server))
    try:
        await _pump(from_server, writer)
    finally:
        upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)
        to_server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(MAX_HEAD_BYTES):
            writer.write(data)
            await writer.drain()


@contextmanager
def running_front(port: int, tls: ssl.SSLContext | None = None) -> Iterator[Front]:
    """The front, listening, until the end of the block."""
    front = Front(port, tls)
    ready: Future[None] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(front.run(ready)), name="front")
    thread.start()
    try:
        ready.result(START_TIMEOUT_S)
        yield front
    finally:
        front.stop()
        thread.join(START_TIMEOUT_S)
