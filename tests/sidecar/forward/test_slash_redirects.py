"""Redirects of the server to the slash form of its own path, and all others."""

import asyncio

import pytest

from tests.sidecar.forward.rig import connect, guard
from tests.support.upstream import Connection, answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
POST = b"POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\ncontent-length: 5\r\n\r\nhello"
GET = b"GET /mcp HTTP/1.1\r\nhost: mcp.example.com\r\n\r\n"


@pytest.mark.parametrize("location", [b"/mcp/?q=1", b"http://localhost:%d/mcp/?q=1"])
async def test_redirect_to_the_slash_form_is_followed_inside_with_method_and_body_and_remembered(
    location: bytes,
) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(connection: Connection) -> None:
        while True:
            head, body = await connection.request()
            seen.append((head.split(b" HTTP/")[0], body))
            target = location % upstream.port if b"%d" in location else location
            moved = b"HTTP/1.1 307 T\r\nlocation: " + target + b"\r\ncontent-length: 0\r\n\r\n"
            await connection.send(OK if head.startswith(b"POST /mcp/?") else moved)

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        for _ in range(2):
            await client.send(POST.replace(b"/mcp", b"/mcp?q=1"))
            head, body = await client.response()
            assert (head[:12], body) == (b"HTTP/1.1 200", b"ok")
    assert seen == [
        (b"POST /mcp?q=1", b"hello"),
        (b"POST /mcp/?q=1", b"hello"),
        (b"POST /mcp/?q=1", b"hello"),
    ]


@pytest.mark.parametrize(
    "location",
    [b"https://evil.example/mcp/", b"/other", b"/mcp/?added=1", b"//evil.example/mcp/", b"mcp/", b"/mcp"],
)
async def test_other_redirects_are_passed_to_the_client(location: bytes) -> None:
    moved = b"HTTP/1.1 307 T\r\nlocation: " + location + b"\r\ncontent-length: 0\r\n\r\n"
    async with serve(answering(moved)) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST)
        head, _ = await client.response()
    assert head.startswith(b"HTTP/1.1 307 ")
    assert b"location: " + location in head


async def test_redirect_loop_is_followed_only_once() -> None:
    async def script(connection: Connection) -> None:
        while True:
            head, _ = await connection.request()
            other = b"/mcp" if head.startswith(b"POST /mcp/") else b"/mcp/"
            await connection.send(b"HTTP/1.1 308 P\r\nlocation: " + other + b"\r\ncontent-length: 0\r\n\r\n")

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(POST)
        assert (await client.response())[0].startswith(b"HTTP/1.1 308 ")


async def test_body_too_long_to_keep_gets_the_redirect_itself() -> None:
    size = 70_000

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 307 T\r\nlocation: /mcp/\r\ncontent-length: 0\r\n\r\n")

    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size, b"a" * size)
        assert (await client.response())[0].startswith(b"HTTP/1.1 307 ")


async def test_redirect_before_the_end_of_the_body_is_followed_with_the_whole_body_on_another_connection() -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(connection: Connection) -> None:
        if len(upstream.connections) == 1:
            await connection.head()
            await connection.send(b"HTTP/1.1 307 T\r\nlocation: /mcp/\r\ncontent-length: 0\r\n\r\n")
            redirected.set()
            await connection.read_until_gone()
            return
        seen.append(await connection.request())
        await connection.send(OK)

    redirected = asyncio.Event()
    async with serve(script) as upstream, guard(upstream.port) as rig, connect(rig.port) as client:
        await client.send(b"POST /mcp HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nfirst")
        async with asyncio.timeout(5):
            await redirected.wait()
        await client.send(b"again")
        assert (await client.response())[1] == b"ok"
    assert seen[0][0].startswith(b"POST /mcp/ ")
    assert seen[0][1] == b"firstagain"
