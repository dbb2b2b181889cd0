"""The sidecar as a process of its own, with its ports read from its first log line."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Process", "run_sidecar", "spawn"]

_PATIENCE_S = 20


async def spawn(*arguments: str, environment: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Starts ``postern-sidecar`` with nothing of the caller's own settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTERN_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "postern_sidecar",
        *arguments,
        env={**clean, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )


class Process:
    """A running sidecar."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.port = 0
        self.health_port = 0

    async def line(self, event: str) -> dict[str, Any]:
        """The next log line of an event; those before it are noted."""
        if self.process.stdout is None:
            raise RuntimeError("the output is not captured")
        async with asyncio.timeout(_PATIENCE_S):
            while text := await self.process.stdout.readline():
                self.lines.append(json.loads(text))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        raise EOFError(f"no line {event!r} came")

    async def rest(self) -> list[dict[str, Any]]:
        """All log lines until the process ends."""
        if self.process.stdout is None:
            raise RuntimeError("the output is not captured")
        async with asyncio.timeout(_PATIENCE_S):
            while text := await self.process.stdout.readline():
                self.lines.append(json.loads(text))
        return self.lines

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        """Waits for the end."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self.process.wait()

    async def health(self, path: str) -> httpx.Response:
        """Asks the health port."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.health_port}{path}")


@asynccontextmanager
async def run_sidecar(
    directory: Path, upstream_port: int, *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Runs it on free ports of all addresses; killed at the end if it still runs."""
    arguments = ("--config", str(directory), "--listen", "[::]:0", "--health", "127.0.0.1:0")
    process = await spawn(*arguments, "--upstream", f"127.0.0.1:{upstream_port}", environment=environment)
    sidecar = Process(process)
    try:
        listening = await sidecar.line("listening")
        sidecar.port = int(listening["guarded"].rpartition(":")[2])
        sidecar.health_port = int(listening["health"].rpartition(":")[2])
        yield sidecar
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
