"""What a caller without a token can make the sidecar hold, and for how long."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from uvicorn.server import ServerState

from postern_sidecar.app import GuardedApp
from postern_sidecar.forward.listener import GuardedProtocol
from postern_sidecar.gate.decision import Answer
from postern_sidecar.outcome import Reason
from postern_sidecar.serving import create_server
from tests.sidecar.forward.rig import Client, OpenGate, connect, guard
from tests.support.upstream import Connection, serve

GET = b"GET /mcp HTTP/1.1\r\nhost: mcp.example.com\r\n\r\n"
UPGRADE = b"GET /mcp HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
CHUNKED = b"POST /mcp HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n3\r\n:1\n\r\n"
REFUSAL = Answer(401, ((b"content-length", b"2"),), b"no", Reason.NO_CREDENTIALS)


class Impatient(GuardedProtocol):
    head_timeout_s = 0.05
    stall_timeout_s = 0.05


@asynccontextmanager
async def impatient(app: object) -> AsyncIterator[tuple[int, ServerState]]:
    """Serves an application with short timeouts; gives the port and what the server knows of its connections."""
    settings = create_server(Starlette(), drain_s=1).config
    settings.loaded = True
    settings.loaded_app = app
    settings.ws_protocol_class = None
    settings.timeout_keep_alive = 0.05  # type: ignore[assignment]  # whole seconds for its users, any for its timer
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Impatient(config=settings, server_state=state, app_state={}), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1], state
    finally:
        server.close()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=5)


@pytest.mark.parametrize("start", [b"", b"\r\n", b"\r\n\r\n", b"G", b"GET /mcp HTTP/1.1\r\nhost: x\r\n"])
async def test_connection_without_a_whole_head_is_closed_in_time(start: bytes) -> None:
    async with impatient(None) as (port, _), connect(port) as client:
        await client.send(start)
        assert await client.until_closed() == b""


async def drip(client: Client, data: bytes) -> None:
    """Sends data again and again until the other side closes."""
    try:
        async with asyncio.timeout(5):
            while not client.reader.at_eof() and not client.writer.is_closing():
                await client.send(data)
                await asyncio.sleep(0)
    except ConnectionError:
        pass


@pytest.mark.parametrize("more", [b"x", b"\r\n"], ids=["rest of the body", "empty lines"])
async def test_answered_connection_is_not_kept_by_bytes_that_are_no_request(more: bytes) -> None:
    length = 10**12 if more == b"x" else 0
    async with (
        guard(1, gate=OpenGate(REFUSAL)) as rig,
        impatient(GuardedApp(rig.live)) as (port, _),
        connect(port) as client,
    ):
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length)
        assert (await client.response())[0].startswith(b"HTTP/1.1 401 ")
        await drip(client, more)


async def test_client_that_reads_nothing_is_cut_off() -> None:
    gate = OpenGate(Answer(200, (), b"x" * 50_000_000, Reason.SERVED))
    async with guard(1, gate=gate) as rig, impatient(GuardedApp(rig.live)) as (port, state), connect(port) as client:
        await client.send(GET)
        await client.head()
        async with asyncio.timeout(5):
            while state.connections:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("request_", [GET, UPGRADE], ids=["plain", "upgrade"])
async def test_flood_of_requests_sent_ahead_is_cut_off_and_takes_no_room(request_: bytes) -> None:
    async with guard(1, gate=OpenGate(REFUSAL)) as rig, connect(rig.port) as client:
        flood = request_ * 3000
        tracemalloc.start()
        try:
            await drip(client, flood)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert len(rig.gate.heads) <= 10
    assert peak < 20 * len(flood)


async def test_large_body_sent_ahead_is_cut_off() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(STREAM)
        await connection.read_until_gone()

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(GET)
        await client.head()
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 100_000)
        await drip(client, b"x" * 1000)
        async with asyncio.timeout(5):
            await upstream.connections[0].gone.wait()


async def test_server_sees_that_the_client_of_a_stream_left_after_sending_a_request_ahead() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(STREAM)
        await connection.read_until_gone()

    async with serve(script) as upstream, guard(upstream.port) as rig:
        async with connect(rig.port) as client:
            await client.send(GET)
            await client.head()
            await client.send(GET)
        async with asyncio.timeout(5):
            await upstream.connections[0].gone.wait()
    assert len(rig.gate.heads) == 1


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"0\r\nx: ", id="trailer"),
        pytest.param(b"0\r\n", id="name of a trailer"),
        pytest.param(b"5;", id="chunk extension"),
    ],
)
async def test_endless_trailer_or_extension_of_an_answered_request_is_cut_off(start: bytes) -> None:
    async with guard(1, gate=OpenGate(REFUSAL)) as rig, connect(rig.port) as client:
        await client.send(CHUNKED + start)
        await client.response()
        await drip(client, b"a" * 8192)


async def test_many_trailers_are_cut_off() -> None:
    async with guard(1, gate=OpenGate(REFUSAL)) as rig, connect(rig.port) as client:
        await client.send(CHUNKED + b"0\r\n")
        await client.response()
        await drip(client, b"a: b\r\n" * 1000)


async def test_large_body_in_one_piece_beside_the_start_of_the_next_request_is_fine() -> None:
    async with guard(1, gate=OpenGate(REFUSAL)) as rig, connect(rig.port) as client:
        await client.send(CHUNKED + b"c350\r\n" + b"x" * 50_000 + b"\r\n0\r\n\r\n" + GET[:20], GET[20:])
        for _ in range(2):
            assert (await client.response())[0].startswith(b"HTTP/1.1 401 ")
