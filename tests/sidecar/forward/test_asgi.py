"""Carrying requests over real sockets: what the server sees, and what the client gets."""

import asyncio

import pytest

from postern_sidecar.gate.decision import Answer, Forward
from postern_sidecar.outcome import Reason
from tests.sidecar.forward.rig import PRINCIPAL, OpenGate, connect, guard
from tests.support.upstream import Connection, answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
POST = b"POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\ncontent-length: 5\r\n\r\nhello"
GET = b"GET /mcp HTTP/1.1\r\nhost: mcp.example.com\r\n\r\n"


async def test_request_and_response_pass_byte_for_byte() -> None:
    body = bytes(range(256))
    seen: list[tuple[bytes, bytes]] = []
    answer = b"HTTP/1.1 418 Teapot\r\nX-Odd:  a b \r\nContent-Length: 256\r\nDate: today\r\n\r\n" + body
    async with (
        serve(answering(answer, seen=seen)) as upstream,
        guard(upstream.port) as rig,
        connect(rig.port) as client,
    ):
        await client.send(
            b"POST /mcp?a=%20b&c HTTP/1.1\r\nHost: x\r\nMcp-Name: n \t\r\nContent-Length: 256\r\n\r\n", body
        )
        head, received = await client.response()
    assert received == body
    assert head.split(b"\r\n")[1:] == [b"x-odd: a b", b"content-length: 256", b"date: today", b"", b""]
    assert head.startswith(b"HTTP/1.1 418 ")
    lines = seen[0][0].split(b"\r\n")
    assert lines[0] == b"POST /mcp?a=%20b&c HTTP/1.1"
    assert b"mcp-name: n" in lines
    assert b"content-length: 256" in lines
    assert seen[0][1] == body


async def test_server_sees_its_own_host_and_the_public_one_as_forwarded() -> None:
    seen: list[tuple[bytes, bytes]] = []
    async with serve(answering(OK, seen=seen)) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(GET.replace(b"\r\n\r\n", b"\r\nauthorization: Bearer t\r\nx-mcp-user-id: eve\r\n\r\n"))
        await client.response()
        lines = seen[0][0].split(b"\r\n")
        assert f"host: localhost:{upstream.port}".encode() in lines
    assert b"x-forwarded-host: mcp.example.com" in lines
    assert b"x-forwarded-proto: https" in lines
    assert b"x-forwarded-for: 127.0.0.1" in lines
    assert [line for line in lines if line.startswith(b"x-mcp-")] == [b"x-mcp-user-id: alice"]
    assert not any(line.startswith(b"authorization") for line in lines)


async def test_chunked_request_passes_in_chunks_as_they_come() -> None:
    first = asyncio.Event()

    async def script(connection: Connection) -> None:
        head = await connection.head()
        assert b"transfer-encoding: chunked\r\n" in head
        assert b"content-length" not in head
        assert await connection.exactly(8) == b"3\r\none\r\n"
        first.set()
        assert await connection.chunks() == b"two"
        await connection.send(OK)

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        async with asyncio.timeout(5):
            await first.wait()
        await client.send(b"3\r\ntwo\r\n0\r\nx-trailer: 1\r\n\r\n")
        assert (await client.response())[1] == b"ok"


async def test_each_event_of_a_stream_arrives_before_the_next_is_sent() -> None:
    received = asyncio.Semaphore(0)

    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for number in range(3):
            await connection.send(b"%x\r\ndata: %d\n\n\r\n" % (9, number))
            await received.acquire()
        await connection.send(b"0\r\n\r\n")

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(GET)
        assert b"content-type: text/event-stream" in await client.head()
        for number in range(3):
            assert await client.chunk() == b"data: %d\n\n" % number
            received.release()
        assert await client.chunk() == b""


async def test_server_sees_at_once_that_the_client_of_a_stream_is_gone() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n:\r\n")
        await connection.read_until_gone()

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(GET)
        await client.head()
        client.leave()
        async with asyncio.timeout(2):
            await upstream.connections[0].gone.wait()


async def test_server_sees_that_the_client_left_before_any_answer() -> None:
    asked = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        asked.set()
        await connection.read_until_gone()

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST)
        async with asyncio.timeout(5):
            await asked.wait()
        client.leave()
        async with asyncio.timeout(2):
            await upstream.connections[0].gone.wait()


async def test_connection_to_the_server_is_kept_for_the_next_request() -> None:
    async with serve(answering(OK, OK)) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        for _ in range(2):
            await client.send(POST)
            assert (await client.response())[1] == b"ok"
        assert rig.pool.idle == 1
    assert len(upstream.connections) == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d" % number for number in range(3)]
    async with serve(answering(*answers)) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST + GET + POST)
        assert [(await client.response())[1] for _ in range(3)] == [b"0", b"1", b"2"]


async def test_head_of_an_answer_in_its_own_segment_is_passed_whole() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        for byte in OK:
            await connection.send(bytes((byte,)))

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST)
        assert (await client.response())[1] == b"ok"


async def test_interim_answers_are_skipped_and_expect_is_answered_by_the_sidecar() -> None:
    seen: list[tuple[bytes, bytes]] = []
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK
    async with (
        serve(answering(answer, seen=seen)) as upstream,
        guard(upstream.port) as rig,
        connect(rig.port) as client,
    ):
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hi")
        head, body = await client.response()
    assert (head[:15], body) == (b"HTTP/1.1 200 OK", b"ok")
    assert b"link" not in head
    assert b"expect" not in seen[0][0]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        pytest.param(b"HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", id="HEAD"),
        pytest.param(b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", id="204"),
        pytest.param(b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", id="304"),
    ],
)
async def test_answer_without_body_ends_with_its_head_and_keeps_both_connections(method: bytes, answer: bytes) -> None:
    async with (
        serve(answering(answer, answer)) as upstream,
        guard(upstream.port) as rig,
        connect(rig.port) as client,
    ):
        for _ in range(2):
            await client.send(GET.replace(b"GET", method))
            head = await client.head()
            assert head.split(b" ")[1] == answer.split(b" ")[1]
            assert (b"content-length: 7" in head) is (method == b"HEAD")
    assert len(upstream.connections) == 1


async def test_large_bodies_pass_whole_in_both_directions_to_slow_readers() -> None:
    size = 3_000_000
    body = b"0123456789" * (size // 10)

    async def script(connection: Connection) -> None:
        head = await connection.head()
        assert b"content-length: %d" % size in head
        received = await connection.exactly(size)
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size, received)

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size, body)
        assert (await client.response())[1] == body


@pytest.mark.parametrize("body", [b"hello", b"", b"chunked"])
async def test_offer_to_upgrade_is_ignored_and_the_body_and_the_next_request_survive(body: bytes) -> None:
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    framing = b"transfer-encoding: chunked\r\n\r\n7\r\nchunked\r\n0\r\n\r\n"
    if body != b"chunked":
        framing = b"content-length: %d\r\n\r\n" % len(body) + body
    seen: list[tuple[bytes, bytes]] = []
    async with (
        serve(answering(OK, OK, seen=seen)) as upstream,
        guard(upstream.port) as rig,
        connect(rig.port) as client,
    ):
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\n" + offer + framing + GET)
        for _ in range(2):
            assert (await client.response())[1] == b"ok"
    assert [received for _, received in seen] == [body, b""]
    assert not any(word in seen[0][0].lower() for word in (b"upgrade", b"http2", b"connection"))


async def test_challenge_of_the_server_is_not_shown_and_cors_headers_are_ours() -> None:
    answer = (
        b"HTTP/1.1 401 U\r\nwww-authenticate: Bearer resource_metadata=https://evil.example\r\n"
        b"access-control-allow-origin: https://theirs\r\ncontent-length: 4\r\n\r\nbody"
    )
    gate = OpenGate(Forward(b"", PRINCIPAL, ((b"access-control-allow-origin", b"https://ours"),)))
    async with (
        serve(answering(answer)) as upstream,
        guard(upstream.port, gate=gate) as rig,
        connect(rig.port) as client,
    ):
        await client.send(POST)
        head, body = await client.response()
    assert (head[:12], body) == (b"HTTP/1.1 401", b"body")
    assert b"www-authenticate" not in head
    assert b"https://theirs" not in head
    assert head.count(b"access-control-allow-origin: https://ours") == 1


async def test_decided_answer_is_sent_as_it_is_and_reaches_no_server() -> None:
    answer = Answer(401, ((b"www-authenticate", b"Bearer"), (b"content-length", b"2")), b"no", Reason.NO_CREDENTIALS)
    async with (
        serve(answering(OK)) as upstream,
        guard(upstream.port, gate=OpenGate(answer)) as rig,
        connect(rig.port) as client,
    ):
        await client.send(POST)
        head, body = await client.response()
        assert (head[:12], body) == (b"HTTP/1.1 401", b"no")
        assert head.count(b"content-length") == 1
        await client.send(POST.replace(b"POST", b"HEAD"))
        assert b"content-length: 2" in await client.head()
        await client.send(GET)
        assert (await client.response())[1] == b"no"
    assert upstream.connections == []
