"""A sidecar under load: this module runs one beside servers that answer always the same, and sends requests."""

import asyncio
import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import usage
from benchmarks.production import Installation

__all__ = ["Running", "ok_answer", "request", "running", "served"]

CONNECTIONS = 8
PATIENCE_S = 20
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(path: str, body: bytes, *, content_type: str, authorization: str = "") -> bytes:
    """Give a POST to the public host."""
    extra = f"authorization: {authorization}\r\n" if authorization else ""
    head = f"POST {path} HTTP/1.1\r\nhost: mcp.example.com\r\ncontent-type: {content_type}\r\n{extra}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def ok_answer(body: bytes) -> bytes:
    """Give an answer with JSON."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Same(asyncio.Protocol):
    """Answers each request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (size := _message_size(self._pending)) is not None:
            self._pending = self._pending[size:]
            if isinstance(self._transport, asyncio.Transport):
                self._transport.write(self._answer)


@contextlib.contextmanager
def served(answer: bytes) -> Iterator[int]:
    """Serve the same answer to everything, in a thread; gives the port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Same(answer), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        server.close()
        loop.close()


@dataclass(frozen=True, slots=True)
class Running:
    """A sidecar that is ready."""

    pid: int
    port: int

    def cpu_s(self) -> float:
        """Give the CPU time since its start."""
        return usage(self.pid).cpu_ms / 1000

    def send(self, requests: Sequence[bytes], status: int) -> list[bytes]:
        """Send all of them on some connections; gives the bodies. Raises RuntimeError at another status."""
        bodies = [b""] * len(requests)
        faults: list[BaseException] = []

        def drive(part: int) -> None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
                    for number in range(part, len(requests), CONNECTIONS):
                        bodies[number] = _ask(connection, requests[number], status)
            except (OSError, RuntimeError) as error:
                faults.append(error)

        threads = [threading.Thread(target=drive, args=(part,)) for part in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise RuntimeError(f"{len(faults)} connections failed") from faults[0]
        return bodies


@contextlib.contextmanager
def running(installation: Installation, config: Path, server_port: int) -> Iterator[Running]:
    """Run a sidecar until the end of the block."""
    port, health = _free_port(), _free_port()
    options = ["--config", str(config), "--listen", f"127.0.0.1:{port}", "--health", f"127.0.0.1:{health}"]
    command = [str(installation.programs / "postern-sidecar"), *options, "--upstream", f"127.0.0.1:{server_port}"]
    environment = installation.environment(compiling=True)
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(health)
            yield Running(process.pid, port)
        finally:
            process.terminate()


def _wait_until_ready(port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    asked = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError, RuntimeError),
            socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection,
        ):
            _ask(connection, asked, 200)
            return
        time.sleep(0.01)
    raise TimeoutError(f"not ready within {PATIENCE_S} s")


def _ask(connection: socket.socket, message: bytes, status: int) -> bytes:
    connection.sendall(message)
    answer = b""
    while (size := _message_size(answer)) is None:
        data = connection.recv(65536)
        if not data:
            raise RuntimeError("the connection ended within an answer")
        answer += data
    if not answer.startswith(b"HTTP/1.1 %d " % status):
        raise RuntimeError(answer[:500].decode(errors="replace"))
    return answer[:size].partition(b"\r\n\r\n")[2]


def _message_size(data: bytes) -> int | None:
    """Give the bytes of the first whole message; None: it is not complete."""
    head, found, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    wanted = int(length.group(1)) if length else 0
    return len(head) + 4 + wanted if found and len(body) >= wanted else None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
