"""Connections that are kept, and for how long."""

import asyncio

from postern_sidecar.forward.pool import UpstreamPool
from tests.support.upstream import Connection, answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def exchange(pool: UpstreamPool) -> None:
    connection = await pool.acquire()
    connection.begin(b"GET")
    connection.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await connection.head()
    assert await connection.read() == (b"", True)
    pool.release(connection)


async def test_idle_connection_is_closed_before_the_server_would() -> None:
    async with serve(answering(OK)) as upstream:
        pool = UpstreamPool(upstream.host, upstream.port, idle_s=0.05)
        await exchange(pool)
        assert pool.idle == 1
        async with asyncio.timeout(3):
            await upstream.connections[0].gone.wait()
        assert pool.idle == 0


async def test_connection_that_the_server_closed_is_not_lent_again() -> None:
    closed = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        if len(upstream.connections) == 1:
            connection.close()
            await connection.writer.wait_closed()
            closed.set()
        else:
            await connection.read_until_gone()

    async with serve(script) as upstream:
        pool = UpstreamPool(upstream.host, upstream.port)
        await exchange(pool)
        async with asyncio.timeout(3):
            await closed.wait()
        await exchange(pool)
        assert len(upstream.connections) == 2
        pool.close()


async def test_unfinished_exchange_is_never_kept() -> None:
    async with serve(answering(OK)) as upstream:
        pool = UpstreamPool(upstream.host, upstream.port)
        connection = await pool.acquire()
        connection.begin(b"GET")
        pool.release(connection)
        assert pool.idle == 0
        assert connection.is_closed


async def test_closed_pool_keeps_nothing() -> None:
    async with serve(answering(OK)) as upstream:
        pool = UpstreamPool(upstream.host, upstream.port)
        await exchange(pool)
        pool.close()
        assert pool.idle == 0
        connection = await pool.acquire()
        pool.release(connection)
        assert pool.idle == 0
