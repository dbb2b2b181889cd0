"""A user's policy in force in front of a server, with the vendor that it names standing in on loopback.

The policy is rendered as for everybody; then nothing but the vendor's origins is replaced.
"""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from uvicorn.server import ServerState

from postern_crds.sidecar_config import SidecarConfig
from postern_crds.sidecar_files import CLIENT_SECRET_FILE
from postern_operator.policy.render import render
from postern_operator.policy.stored import problems
from postern_sidecar.app import GuardedApp
from postern_sidecar.enforced import Enforced
from postern_sidecar.forward.asgi import Forwarder
from postern_sidecar.forward.headers import fixed_headers
from postern_sidecar.forward.listener import GuardedProtocol
from postern_sidecar.forward.pool import UpstreamPool
from postern_sidecar.gate.build import OwnNames, build
from postern_sidecar.gate.upstream import connect
from postern_sidecar.material import Material
from postern_sidecar.metrics import FacadeMetrics, create_metrics
from postern_sidecar.policy.live import Live
from postern_sidecar.policy.load import Loaded
from postern_sidecar.proxy.equip import Lasting
from postern_sidecar.serving import create_server
from tests.sidecar.facade.building import make_ring
from tests.sidecar.proxy.journey import Journey
from tests.support.logs import EventDict, capture_logs
from tests.support.upstream import answering, serve
from tests.support.vendors.grants import AuthorizationServer
from tests.support.vendors.wire import relocated

__all__ = ["Scene", "VendorJourney", "make_policy", "rendered", "running"]

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def make_policy(provider: dict[str, Any], vendor: AuthorizationServer, **spec: Any) -> dict[str, Any]:
    """What a user writes; proxy among the changes is merged."""
    proxy = {"client": {"id": vendor.app.id, "secretRef": {"name": "client"}}, **spec.pop("proxy", {})}
    whole = {"resource": {"url": "https://mcp.example.com/mcp"}, "mode": "Proxy", "provider": provider, "proxy": proxy}
    return {
        "apiVersion": "postern.dev/v1alpha1",
        "kind": "McpAuthPolicy",
        "metadata": {"name": "weather", "namespace": "team-a"},
        "spec": {**whole, **spec},
    }


def rendered(policy: dict[str, Any], vendor: AuthorizationServer) -> SidecarConfig:
    """What the sidecar of this policy reads, with the vendor's origins replaced."""
    assert problems(policy) == ()
    return relocated(render(policy), vendor.places)


class VendorJourney(Journey):
    """A client that asks for these scopes; None: for none by name."""

    def __init__(self, port: int, scope: str | None) -> None:
        super().__init__(lambda: port)
        self.scope = scope

    def authorize_path(self) -> str:
        parts = urlsplit(super().authorize_path())
        query = {name: value for name, value in parse_qsl(parts.query) if name != "scope"}
        return f"{parts.path}?{urlencode(query | ({} if self.scope is None else {'scope': self.scope}))}"

    async def reach_code(self) -> None:
        """All steps but the last."""
        for step in (self.register, self.authorize, self.approve, self.log_in, self.come_back):
            await step()

    async def try_redeem(self) -> httpx.Response:
        """The client brings its code."""
        return await self.ask("POST", "/token", data=self.code_form())

    async def try_refresh(self) -> httpx.Response:
        """The client brings its refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"]}
        return await self.ask("POST", "/token", data={**form, "client_id": self.client_id})

    async def call_with(self, token: str) -> httpx.Response:
        """Somebody calls the server with this token."""
        return await self.ask("POST", "/mcp", headers={"authorization": f"Bearer {token}"})


class Scene:
    """What a test sees."""

    def __init__(self, port: int, lines: list[EventDict], seen: list[tuple[bytes, bytes]]) -> None:
        self.port = port
        self.lines = lines
        self._seen = seen

    def journey(self, scope: str | None = None) -> VendorJourney:
        """A client that knows nothing yet."""
        return VendorJourney(self.port, scope)

    def said_to_server(self) -> dict[str, str]:
        """The headers of the latest request that reached the server, by name."""
        lines = self._seen[-1][0].decode().split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines if line)

    def claims_said(self) -> dict[str, Any]:
        """The claims in them."""
        encoded = self.said_to_server()["x-mcp-claims"]
        claims: dict[str, Any] = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
        return claims

    def events(self, name: str) -> list[EventDict]:
        """Log lines of this event."""
        return [line for line in self.lines if line["event"] == name]


@asynccontextmanager
async def running(
    policy: dict[str, Any], vendor: AuthorizationServer, *, secret: str | None = None
) -> AsyncIterator[Scene]:
    """The policy in force on a real socket, put together as the process does it.

    secret: of our client as the sidecar has it; None: the right one. Nothing that is secret may be in the log.
    """
    config = rendered(policy, vendor)
    material = Material(ring=make_ring(), secrets={CLIENT_SECRET_FILE: secret or vendor.app.secret})
    seen: list[tuple[bytes, bytes]] = []
    with capture_logs() as lines:
        async with (
            serve(answering(*[_OK] * 50, seen=seen)) as server,
            _guarded(Loaded(config, material), server.port) as port,
        ):
            yield Scene(port, lines, seen)
    text = json.dumps(lines, default=str)
    assert not [secret for secret in (*vendor.secrets, *([secret] if secret else [])) if secret in text]


@asynccontextmanager
async def _guarded(loaded: Loaded, upstream_port: int) -> AsyncIterator[int]:
    metrics = create_metrics()
    lasting, pool = Lasting(FacadeMetrics(metrics.registry)), UpstreamPool("127.0.0.1", upstream_port)

    def enforce(loaded: Loaded) -> Enforced:
        config, proxy = loaded.config, loaded.config.proxy
        assert proxy is not None
        upstream = connect(config, loaded.material, metrics, None)
        equipment = lasting.equip(config, proxy, loaded.material, upstream)
        gate = build(config, OwnNames((), ""), metrics, upstream, equipment.source)
        fixed = fixed_headers(config.resource.url, host=config.server.host, port=upstream_port)
        forwarder = Forwarder(pool, host=fixed.host, count_fault=lambda _: None)
        return Enforced(config, gate, forwarder, fixed, equipment.server)

    live: Live[Enforced] = Live(enforce, on_change=lambda _: None)
    live.apply(loaded)
    settings = create_server(GuardedApp(live), drain_s=1).config
    settings.load()
    state = ServerState()
    listening = await asyncio.get_running_loop().create_server(
        lambda: GuardedProtocol(config=settings, server_state=state, app_state={}), "127.0.0.1", 0
    )
    background = asyncio.create_task(live.run())
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        background.cancel()
        await asyncio.wait([background])
        pool.close()
        await live.aclose()
        await lasting.aclose()
