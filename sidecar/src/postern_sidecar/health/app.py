"""The second port: this module is its ASGI application.

Nothing here leads to the server except its own declared probes, and of those only a status comes back.
"""

import json
from collections.abc import Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from postern_sidecar.health.probes import Probes, perform

__all__ = ["Source", "create_health_app"]


class Source(Protocol):
    """Where the answers come from."""

    def is_listening(self) -> bool:
        """Whether both sockets are bound and served."""

    def unready_reasons(self) -> Sequence[str]:
        """Why no traffic should come; empty: ready."""

    def status_document(self) -> dict[str, Any]:
        """What the controller reads."""

    def metrics_text(self) -> bytes:
        """Metrics in Prometheus' text format."""


def create_health_app(source: Source, probes: Probes, *, upstream_host: str) -> Router:
    """Give the application; probes are performed against upstream_host."""

    async def startupz(_: Request) -> Response:
        return _verdict([] if source.is_listening() else ["not listening yet"])

    async def readyz(_: Request) -> Response:
        return _verdict(source.unready_reasons())

    async def livez(_: Request) -> Response:
        return _verdict([])

    async def metrics(_: Request) -> Response:
        return Response(source.metrics_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def status(_: Request) -> Response:
        return Response(json.dumps(source.status_document()), media_type="application/json")

    async def app_health(request: Request) -> Response:
        probe = probes.get(f"{request.path_params['container']}/{request.path_params['probe']}")
        if probe is None:
            return PlainTextResponse("no such probe", 404)
        user_agent = request.headers.get("user-agent", "postern")
        return Response(status_code=await perform(probe, upstream_host, user_agent=user_agent))

    return Router(
        routes=[
            Route("/startupz", startupz),
            Route("/readyz", readyz),
            Route("/livez", livez),
            Route("/metrics", metrics),
            Route("/status", status),
            Route("/app-health/{container}/{probe}", app_health),
        ]
    )


def _verdict(reasons: Sequence[str]) -> Response:
    """200, or 503 with the reasons, one a line."""
    return PlainTextResponse("\n".join(reasons) + "\n" if reasons else "ok\n", 503 if reasons else 200)
