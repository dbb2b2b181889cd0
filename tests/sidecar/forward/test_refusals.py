"""What cannot be passed on: unusable answers, ambiguous requests, and what must never be sent twice."""

import json

import pytest

from postern_sidecar.forward.faults import Fault
from postern_sidecar.gate.decision import Forward
from tests.sidecar.forward.rig import PRINCIPAL, OpenGate, connect, guard
from tests.support.upstream import Connection, answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
POST = b"POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\ncontent-length: 5\r\n\r\nhello"
GET = b"GET /mcp HTTP/1.1\r\nhost: mcp.example.com\r\n\r\n"


async def test_answer_before_the_end_of_the_body_smuggles_nothing_into_the_next_request() -> None:
    seen: list[bytes] = []

    async def script(connection: Connection) -> None:
        seen.append(await connection.head())
        await connection.send(OK)
        seen.append(await connection.read_until_gone())

    smuggled = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (len(smuggled) + 5))
        head = await client.head()
        assert b"\r\nconnection: close\r\n" in head
        assert await client.exactly(2) == b"ok"
        await client.send(b"12345", smuggled)
        assert await client.until_closed() == b""
        assert rig.pool.idle == 0
        async with connect(rig.port) as second:
            await second.send(GET)
            await second.response()
    assert seen[0].startswith(b"POST /mcp ")
    assert all(not head.startswith(b"GET /smuggled") for head in seen)
    assert len(upstream.connections) == 2


async def test_body_shorter_than_its_length_cuts_the_client_off() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort")

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST)
        assert b"content-length: 10" in await client.head()
        assert await client.until_closed() == b"short"
        assert rig.faults == [Fault.TRUNCATED]


async def test_cut_chunked_body_is_not_ended_properly() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST)
        await client.head()
        assert await client.until_closed() == b"5\r\nhello\r\n"


async def test_body_that_ends_with_the_connection_is_passed_in_chunks() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.0 200 OK\r\n\r\nhello")

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST)
        assert (await client.response())[1] == b"hello"


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param(b"", Fault.CLOSED, id="nothing"),
        pytest.param(b"HTTP/1.1 20", Fault.CLOSED, id="half a head"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", Fault.MALFORMED, id="not HTTP"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n", Fault.SWITCHED, id="101"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70000, Fault.HEAD_TOO_LARGE, id="endless head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70000 + b"\r\n\r\n", Fault.HEAD_TOO_LARGE, id="large head"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            Fault.MALFORMED,
            id="both framings",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", Fault.MALFORMED, id="unknown coding"
        ),
        pytest.param(b"HTTP/1.1 777 OK\r\ncontent-length: 0\r\n\r\n", Fault.MALFORMED, id="status"),
    ],
)
async def test_unusable_answer_becomes_502_with_the_reason(answer: bytes, fault: Fault) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)

    gate = OpenGate(Forward(b"", PRINCIPAL, ((b"access-control-allow-origin", b"*"),)))
    async with (
        serve(script) as upstream,
        guard(upstream.port, gate=gate) as rig,
        connect(rig.port) as client,
    ):
        await client.send(POST)
        head, body = await client.response()
        assert head.startswith(b"HTTP/1.1 502 ")
        assert b"access-control-allow-origin: *" in head
        assert json.loads(body)["error"] == fault
        assert rig.faults == [fault]
        await client.send(POST)
        assert (await client.response())[0].startswith(b"HTTP/1.1 502 ")


async def test_closed_port_becomes_502() -> None:
    async with serve(answering()) as upstream:
        port = upstream.port
    async with guard(port) as rig, connect(rig.port) as client:
        await client.send(POST)
        head, body = await client.response()
    assert head.startswith(b"HTTP/1.1 502 ")
    assert json.loads(body)["error"] == "server_unreachable"


async def test_request_without_body_is_repeated_once_when_the_kept_connection_was_stale() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.head()  # the second request on this connection is read and dropped

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        for _ in range(2):
            await client.send(GET)
            assert (await client.response())[1] == b"ok"
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("method", [b"POST", b"GET"])
async def test_request_with_body_is_never_sent_twice(method: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST.replace(b"POST", method))
        await client.response()
        await client.send(POST.replace(b"POST", method))
        assert (await client.response())[0].startswith(b"HTTP/1.1 502 ")
    assert len(upstream.connections) == 1


async def test_bytes_on_an_idle_connection_end_it() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        await connection.read_until_gone()

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        for _ in range(2):
            await client.send(POST)
            assert (await client.response())[1] == b"ok"
    assert len(upstream.connections) == 2


async def test_without_a_policy_every_request_gets_503_and_when_to_come_back() -> None:
    async with (
        serve(answering(OK)) as upstream,
        guard(upstream.port, has_policy=False) as rig,
        connect(rig.port) as client,
    ):
        await client.send(POST)
        head, body = await client.response()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: " in head
    assert json.loads(body)["error"] == "temporarily_unavailable"
    assert upstream.connections == []


async def test_endless_request_head_is_refused() -> None:
    async with guard(1) as rig, connect(rig.port) as client:
        await client.send(b"GET /mcp HTTP/1.1\r\nhost: x\r\nx-long: ")
        for _ in range(70):
            client.writer.write(b"a" * 1024)
        head, _ = await client.response()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert rig.gate.heads == []


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"content-length: +5\r\n",
        b"transfer-encoding: chunked, identity\r\n",
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding: xchunked\r\n",
        b"transfer-encoding\x0b: chunked\r\n",
    ],
)
async def test_ambiguous_framing_is_refused_and_reaches_no_server(framing: bytes) -> None:
    async with serve(answering(OK)) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\n" + framing + b"\r\n5\r\nhello\r\n0\r\n\r\n")
        head = await client.head()
        assert head.split(b" ")[1] in (b"400", b"501")
    assert upstream.connections == []
