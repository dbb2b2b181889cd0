"""Whether a role lives and is ready: this module is its plain HTTP port with /livez, /readyz and /metrics."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from postern_operator.metrics import Metrics, exposition

__all__ = ["Heartbeat", "Readiness", "bind", "health_app", "is_first", "serve"]

_BEAT_S = 1.0
_DEAD_AFTER_S = 20.0
_BACKLOG = 512
_DRAIN_S = 8
_KEEP_ALIVE_S = 120
"""Longer than the API server keeps idle connections (90 s), so that it is never us who close under its next request."""

Readiness = Callable[[], str]
"""Why the role is not ready, in words; empty when it is."""


class Heartbeat:
    """Tells whether the event loop still turns. Never looks at the API server: a restart would not heal that."""

    def __init__(self, metrics: Metrics) -> None:
        self._lag = metrics.loop_lag_seconds
        self._latest = time.monotonic()

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await asyncio.sleep(_BEAT_S)
            now = time.monotonic()
            self._lag.set(max(0.0, now - self._latest - _BEAT_S))
            self._latest = now

    def is_alive(self) -> bool:
        """Tell whether the latest beat is recent."""
        return time.monotonic() - self._latest < _DEAD_AFTER_S


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves the process's signals to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def health_app(metrics: Metrics, heartbeat: Heartbeat, not_ready: Readiness) -> Starlette:
    """Make the application of the health port."""

    async def livez(_: Request) -> Response:
        alive = heartbeat.is_alive()
        return PlainTextResponse("ok" if alive else "the event loop stands still", 200 if alive else 503)

    async def readyz(_: Request) -> Response:
        reason = not_ready()
        return PlainTextResponse(reason or "ok", 503 if reason else 200)

    async def expose(_: Request) -> Response:
        return Response(exposition(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", expose)])


def bind(port: int) -> socket.socket:
    """Give a socket for all addresses of both families, 0 for any free port; it listens once served. Raises OSError."""
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
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
