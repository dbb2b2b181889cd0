"""Replicas of one sidecar behind a load balancer that gives each of them one request, and then kills it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.sidecar.process import Process, run_sidecar
from tests.support.mcp.launch import McpServer

PATIENCE_S = 30.0
HEAD_LIMIT = 2**16


@dataclass(slots=True)
class Balancer:
    """Takes the requests; ``served`` has the process id of the replica of each."""

    folder: Path
    server: McpServer
    ready: "asyncio.Queue[tuple[AsyncExitStack, Process]]" = field(default_factory=lambda: asyncio.Queue(2))
    served: list[int] = field(default_factory=list)

    async def keep_two_ready(self) -> None:
        """Starts a replica whenever fewer wait, until cancelled."""
        while True:
            async with AsyncExitStack() as stack:
                replica = await stack.enter_async_context(run_sidecar(self.folder, self.server.port))
                await self._until_ready(replica)
                await self.ready.put((stack.pop_all(), replica))

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, for one request: the answer says that the connection ends."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            stack, replica = await self.ready.get()
            # Leaving the stack kills the replica.
            async with stack:
                self.served.append(replica.process.pid)
                await self._pass_on(head, reader, writer, replica.port)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _pass_on(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        """The request with its body, and all of the answer: the replica closes the connection after it."""
        lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
        request = b"\r\n".join([*lines, b"connection: close", b"", b""]) + await reader.readexactly(_length(lines))
        from_replica, to_replica = await asyncio.open_connection("127.0.0.1", port, limit=HEAD_LIMIT)
        to_replica.write(request)
        try:
            while data := await from_replica.read(HEAD_LIMIT):
                writer.write(data)
                await writer.drain()
        finally:
            to_replica.close()

    @staticmethod
    async def _until_ready(replica: Process) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while (await replica.health("/readyz")).status_code != 200:
                await asyncio.sleep(0.02)


def _length(lines: list[bytes]) -> int:
    lengths = [line.partition(b":")[2] for line in lines if line.lower().startswith(b"content-length:")]
    return int(lengths[0]) if lengths else 0


@asynccontextmanager
async def balanced(folder: Path, server: McpServer, *, port: int) -> AsyncIterator[Balancer]:
    """The balancer at a port, until the end of the block."""
    balancer = Balancer(folder, server)
    starting = [asyncio.create_task(balancer.keep_two_ready()) for _ in range(2)]
    listening = await asyncio.start_server(balancer.handle, "127.0.0.1", port, limit=HEAD_LIMIT)
    try:
        yield balancer
    finally:
        listening.close()
        for task in starting:
            task.cancel()
        await asyncio.wait(starting)
        while not balancer.ready.empty():
            stack, _ = balancer.ready.get_nowait()
            await stack.aclose()
