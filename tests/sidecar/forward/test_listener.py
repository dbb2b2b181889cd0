"""Connections on which nothing, or only half a head, ever comes."""

import asyncio

import pytest
from starlette.applications import Starlette
from uvicorn.server import ServerState

from postern_sidecar.forward.listener import GuardedProtocol
from postern_sidecar.serving import create_server
from tests.sidecar.forward.rig import connect


class Impatient(GuardedProtocol):
    head_timeout_s = 0.05


@pytest.mark.parametrize("start", [b"", b"G", b"GET /mcp HTTP/1.1\r\nhost: x\r\n"])
async def test_connection_without_a_whole_head_is_closed_in_time(start: bytes) -> None:
    settings = create_server(Starlette(), drain_s=1).config
    settings.loaded = True
    settings.loaded_app = None
    settings.ws_protocol_class = None
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Impatient(config=settings, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with connect(server.sockets[0].getsockname()[1]) as client:
        await client.send(start)
        assert await client.until_closed() == b""
    server.close()
