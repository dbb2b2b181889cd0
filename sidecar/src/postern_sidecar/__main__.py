"""The sidecar as a process: this module is the composition root.

Exit codes: 0 stopped by a signal, 1 failed, 2 wrong use. Errors before the start are one line on stderr.
"""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import uvloop

from postern_sidecar.app import GuardedApp
from postern_sidecar.enforced import Enforced, FacadeDoor
from postern_sidecar.errors import SettingsError
from postern_sidecar.forward.asgi import Forwarder
from postern_sidecar.forward.faults import Fault
from postern_sidecar.forward.headers import fixed_headers
from postern_sidecar.forward.pool import UpstreamPool
from postern_sidecar.gate.build import OwnNames, build
from postern_sidecar.gate.gate import Gate
from postern_sidecar.gate.upstream import Upstream, connect
from postern_sidecar.health.app import create_health_app
from postern_sidecar.health.probes import Probes, parse_probes
from postern_sidecar.health.status import status_document, unready_reasons
from postern_sidecar.logs import LogLevel, configure, get_logger
from postern_sidecar.metrics import FacadeMetrics, TrafficMetrics, create_metrics
from postern_sidecar.policy.live import Live
from postern_sidecar.policy.load import ConfigFault, Loaded, judge, read
from postern_sidecar.policy.watch import watch
from postern_sidecar.serving import Servers, bind
from postern_sidecar.settings import HELP, Address, Settings, asks_for_help, read_settings
from postern_sidecar.tokens.source import Source

if TYPE_CHECKING:
    # Not at run time: see _Sidecar._equip.
    from postern_sidecar.proxy.equip import Lasting

__all__ = ["main"]

_log = get_logger("postern_sidecar")


class _Sidecar:
    """The parts of one process, put together; also what the health port asks."""

    def __init__(self, settings: Settings, probes: Probes, level: LogLevel) -> None:
        self._settings = settings
        self._level = level
        self._started_at = time.time()
        self._metrics = create_metrics()
        self._traffic = TrafficMetrics(self._metrics.registry)
        self._pool = UpstreamPool(settings.upstream.host, settings.upstream.port)
        self._judged: tuple[Loaded, Gate] | None = None
        self._lasting: Lasting | None = None
        self._live: Live[Enforced] = Live(self._enforce, on_change=self._note)
        health = create_health_app(self, probes, upstream_host=settings.upstream.host)
        self._servers = Servers(GuardedApp(self._live), health, drain_s=settings.drain_seconds)

    async def run(self, listening: socket.socket, health: socket.socket) -> None:
        """Serve until a signal."""
        directory = self._settings.config
        files = read(directory)
        self._live.apply(judge(directory, files))
        try:
            async with asyncio.TaskGroup() as group:
                background = [
                    group.create_task(self._live.run()),
                    group.create_task(watch(directory, files, self._live.apply)),
                ]
                await self._servers.run(listening, health)
                for task in background:
                    task.cancel()
        finally:
            self._pool.close()
            await self._live.aclose()
            if self._lasting is not None:
                await self._lasting.aclose()

    def is_listening(self) -> bool:
        """Whether both ports are served."""
        return self._servers.is_listening()

    def unready_reasons(self) -> Sequence[str]:
        """Why no traffic should come."""
        current = self._live.current
        return unready_reasons(
            has_policy=current is not None,
            waits_for=current.gate.unready_reason() if current is not None else None,
            fault=self._degraded(),
            is_draining=self._servers.is_draining(),
        )

    def status_document(self) -> dict[str, Any]:
        """What the controller reads."""
        current = self._live.current
        return status_document(
            current.config if current else None,
            current.snapshot() if current else None,
            degraded=self._degraded(),
            started_at=self._started_at,
        )

    def metrics_text(self) -> bytes:
        """Metrics in Prometheus' text format."""
        return self._metrics.registry.text()

    def _degraded(self) -> str | None:
        return str(self._live.fault) if self._live.fault is not None else None

    def _enforce(self, loaded: Loaded) -> Enforced:
        config, target = loaded.config, self._settings.upstream
        own = OwnNames(self._settings.pod_ips, self._settings.namespace)
        previous = self._judged
        upstream = connect(config, loaded.material, self._metrics, previous[1].upstream if previous else None)
        source, facade = self._equip(loaded, upstream)
        gate = build(config, own, self._metrics, upstream, source)
        if previous is not None and _judges_alike(previous[0], loaded):
            gate.adopt(previous[1])
        self._judged = loaded, gate
        fixed = fixed_headers(config.resource.url, host=config.server.host, port=target.port)
        forwarder = Forwarder(self._pool, host=fixed.host, count_fault=self._count_fault)
        return Enforced(config, gate, forwarder, fixed, facade)

    def _equip(self, loaded: Loaded, upstream: Upstream) -> tuple[Source, FacadeDoor | None]:
        """Give what reads the clients' access tokens, and in mode Proxy the authorization server."""
        config = loaded.config
        if config.proxy is None:
            return upstream.tokens, None
        # Loaded only now: templates and encryption would cost every sidecar in mode Direct start time and memory.
        from postern_sidecar.proxy.equip import Lasting  # noqa: PLC0415

        if self._lasting is None:
            self._lasting = Lasting(FacadeMetrics(self._metrics.registry))
        equipment = self._lasting.equip(config, config.proxy, loaded.material, upstream)
        return equipment.source, equipment.server

    def _note(self, outcome: Loaded | ConfigFault) -> None:
        if isinstance(outcome, Loaded):
            self._level.set(outcome.config.log.level)
        self._traffic.policy_loads.labels("loaded" if isinstance(outcome, Loaded) else "refused").inc()
        self._traffic.policy_degraded.set(isinstance(outcome, ConfigFault))

    def _count_fault(self, fault: Fault) -> None:
        self._traffic.upstream_faults.labels(fault.value).inc()


def _judges_alike(before: Loaded, now: Loaded) -> bool:
    """Whether a token that one took is good to the other: only the secrets of our own client may differ."""
    same_keys = before.material.ca_pem == now.material.ca_pem and before.material.ring == now.material.ring
    return same_keys and before.config.hash == now.config.hash


def main() -> None:
    """Run the sidecar."""
    if asks_for_help(sys.argv[1:]):
        print(HELP, end="")
        return
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        probes = parse_probes(settings.probes)
    except SettingsError as error:
        _fail(str(error), code=2)
    level = configure(sys.stdout)
    listening, health = _bind("--listen", settings.listen), _bind("--health", settings.health)
    _log.info("listening", guarded=_name(listening), health=_name(health), upstream=str(settings.upstream))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Sidecar(settings, probes, level).run(listening, health))


def _bind(option: str, address: Address) -> socket.socket:
    try:
        return bind(address)
    except OSError as error:
        _fail(
            f"cannot listen on {address} ({error.strerror or error}): free the port, or choose another {option}", code=1
        )


def _name(listening: socket.socket) -> str:
    return str(Address(*listening.getsockname()[:2]))


def _fail(message: str, *, code: int) -> NoReturn:
    print(f"postern-sidecar: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
