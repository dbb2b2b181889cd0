"""The unchanged MCP server as a process on loopback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.identity.programs import Program, answers, free_port, running

SERVER = Path(__file__).parent / "server.py"


@dataclass(frozen=True, slots=True)
class McpServer:
    """One that runs; ``url`` is its MCP endpoint."""

    host: str
    port: int
    program: Program

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/mcp"


@contextmanager
def running_server(folder: Path, *, port: int = 0) -> Iterator[McpServer]:
    """The server, ready, until the end of the block; its log lies in ``folder``. Port 0: a free one."""
    host, chosen = "127.0.0.1", free_port(preferred=port)
    command: list[str | Path] = [sys.executable, SERVER, "--host", host, "--port", str(chosen)]
    with running("MCP server", command, log=folder / "mcp-server.log") as program:
        program.wait_until(lambda: answers(f"http://{host}:{chosen}/health"))
        yield McpServer(host, chosen, program)
