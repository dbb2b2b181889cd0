"""A sidecar's health port in the test's own process: answers /status with what the test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FakeSidecar:
    """What it says, and how often it was asked."""

    answer: Any = None
    """JSON to answer with; bytes are sent as they are; None: it never answers."""
    asked: int = 0
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.asked += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            if self.answer is None:
                await self.gate.wait()
            elif isinstance(self.answer, bytes):
                writer.write(self.answer)
            else:
                body = json.dumps(self.answer).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def fake_sidecar(host: str = "127.0.0.1") -> AsyncIterator[FakeSidecar]:
    """Serve until the block ends."""
    sidecar = FakeSidecar()
    server = await asyncio.start_server(sidecar.handle, host, 0)
    sidecar.port = server.sockets[0].getsockname()[1]
    try:
        yield sidecar
    finally:
        sidecar.gate.set()
        server.close()
        await server.wait_closed()
