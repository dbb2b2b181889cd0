"""Whether a role lives and is ready: this module is the application of its plain HTTP port, and its heartbeat."""

import asyncio
import time
from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from postern_operator.metrics import Metrics, exposition

__all__ = ["Heartbeat", "Readiness", "health_app"]

_BEAT_S = 1.0
_DEAD_AFTER_S = 20.0

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
