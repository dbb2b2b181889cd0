"""How a role serves HTTP until it is asked to stop: this module is the socket, the server and the wait."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

__all__ = ["bind", "is_first", "serve"]

_BACKLOG = 512
_DRAIN_S = 8
_KEEP_ALIVE_S = 120
"""Longer than the API server keeps idle connections (90 s), so that it is never us who close under its next request."""


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def bind(port: int) -> socket.socket:
    """Give a socket for all addresses of both families, 0 for any free port; it listens once served. Raises OSError."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    # With the protocol named: asyncio sets TCP_NODELAY only then, and without it some answers take 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("", port))
    except OSError:
        listener.close()
        raise
    return listener


async def is_first(event: asyncio.Event, other: asyncio.Event) -> bool:
    """Wait until one of two events is set; tell whether the other is not."""
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(e.wait()) for e in (event, other)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
    return not other.is_set()


async def serve(
    app: Starlette,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve until ``stop``; open requests then get some seconds to finish."""
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        backlog=_BACKLOG,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    server = _QuietServer(config)
    with listener:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            await stop.wait()
            server.should_exit = True
