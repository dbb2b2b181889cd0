"""The guarded port on a real socket, with a gate that lets everything pass, and a client that sees raw bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from uvicorn.server import ServerState

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.app import GuardedApp
from postern_sidecar.enforced import Enforced, FacadeDoor
from postern_sidecar.forward.asgi import Forwarder
from postern_sidecar.forward.faults import Fault
from postern_sidecar.forward.headers import fixed_headers
from postern_sidecar.forward.listener import GuardedProtocol
from postern_sidecar.forward.pool import UpstreamPool
from postern_sidecar.gate.decision import Decision, Forward
from postern_sidecar.gate.gate import IssuerHealth
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.outcome import Principal
from postern_sidecar.policy.live import Live
from postern_sidecar.policy.load import ConfigFault, Loaded
from postern_sidecar.serving import create_server
from tests.support.policies import make_config

__all__ = ["Client", "OpenGate", "Rig", "connect", "guard"]

_PATIENCE_S = 5

PRINCIPAL = Principal(
    issuer="https://sso.example.com",
    subject="alice",
    client_id=None,
    scopes=frozenset(),
    expires_at=0.0,
    headers=((b"x-mcp-user-id", b"alice"),),
)
_HEALTH = IssuerHealth(
    issuer="https://sso.example.com",
    reachable=True,
    jwks_keys=1,
    last_success=0.0,
    last_error=None,
    registration=False,
    metadata_documents=False,
    iss_parameter=False,
    pkce=True,
    verified_tokens=0,
)


@dataclass
class OpenGate:
    """A gate that decides the same for everyone; by default it forwards to the path asked for."""

    decision: Decision = field(default_factory=lambda: Forward(b"", PRINCIPAL, ()))
    heads: list[RequestHead] = field(default_factory=list)
    is_closed: bool = False

    async def decide(self, head: RequestHead, now: float) -> Decision:
        self.heads.append(head)
        if isinstance(self.decision, Forward):
            return replace(self.decision, target=self.decision.target or head.raw_path)
        return self.decision

    def snapshot(self) -> IssuerHealth:
        return _HEALTH

    def unready_reason(self) -> None:
        return None

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.is_closed = True


@dataclass
class Rig:
    """What a test sees of the guarded port."""

    port: int
    gate: OpenGate
    pool: UpstreamPool
    live: Live[Enforced]
    faults: list[Fault]


@asynccontextmanager
async def guard(
    upstream_port: int,
    *,
    gate: OpenGate | None = None,
    config: SidecarConfig | None = None,
    has_policy: bool = True,
    facade: FacadeDoor | None = None,
) -> AsyncIterator[Rig]:
    """The application of the guarded port in front of a server, without the process around it."""
    gate, pool = gate or OpenGate(), UpstreamPool("127.0.0.1", upstream_port)
    faults: list[Fault] = []

    def enforce(loaded: Loaded) -> Enforced:
        fixed = fixed_headers(loaded.config.resource.url, host=loaded.config.server.host, port=upstream_port)
        forwarder = Forwarder(pool, host=fixed.host, count_fault=faults.append)
        return Enforced(loaded.config, gate, forwarder, fixed, facade)

    live: Live[Enforced] = Live(enforce, on_change=lambda _: None)
    live.apply(Loaded(config or make_config(log={"audit": False})) if has_policy else ConfigFault("f", "x", "y"))
    settings = create_server(GuardedApp(live), drain_s=1).config
    settings.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: GuardedProtocol(config=settings, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield Rig(server.sockets[0].getsockname()[1], gate, pool, live, faults)
    finally:
        server.close()
        pool.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in state.tasks:
            task.cancel()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=_PATIENCE_S)


class Client:
    """A connection to the guarded port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def head(self) -> bytes:
        async with asyncio.timeout(_PATIENCE_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(_PATIENCE_S):
            return await self.reader.readexactly(size)

    async def chunk(self) -> bytes:
        """One chunk of the body; empty: the last."""
        async with asyncio.timeout(_PATIENCE_S):
            size = int(await self.reader.readline(), 16)
            data = await self.reader.readexactly(size)
            await self.reader.readexactly(2)
            return data

    async def response(self) -> tuple[bytes, bytes]:
        """Head and body of the next response."""
        head = await self.head()
        if b"\r\ntransfer-encoding: chunked\r\n" in head:
            body = b""
            while data := await self.chunk():
                body += data
            return head, body
        _, found, rest = head.partition(b"\r\ncontent-length: ")
        return head, await self.exactly(int(rest.split(b"\r\n")[0])) if found else b""

    async def until_closed(self) -> bytes:
        """What comes until the sidecar closes."""
        async with asyncio.timeout(_PATIENCE_S):
            return await self.reader.read()

    def leave(self) -> None:
        """Closes at once."""
        self.writer.transport.abort()


@asynccontextmanager
async def connect(port: int) -> AsyncIterator[Client]:
    """A client of the guarded port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    client = Client(reader, writer)
    try:
        yield client
    finally:
        writer.transport.abort()
