"""The controller role put together: this module is its composition root, from settings to exit code."""

import asyncio
import functools
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import kopf
import structlog

from postern_crds.sidecar_ports import HEALTH_PORT
from postern_operator.cluster import Cluster, cluster, connection, load_configuration
from postern_operator.controller.certificate_keeper import CertificateKeeper
from postern_operator.controller.handlers import operator_settings, register
from postern_operator.controller.loops import Loops
from postern_operator.controller.master_keys import MasterKeys
from postern_operator.controller.reconcile import Reconciler
from postern_operator.controller.recorder import Recorder
from postern_operator.controller.sidecars import Sidecars
from postern_operator.controller.triggers import Change
from postern_operator.controller.watching import keep_watching
from postern_operator.errors import SettingsError
from postern_operator.health import Heartbeat, health_app
from postern_operator.logs import configure_logs
from postern_operator.metrics import Metrics, metrics
from postern_operator.serving import bind, is_first, serve
from postern_operator.settings import Settings

__all__ = ["main", "run"]

_LOG = structlog.stdlib.get_logger("postern.controller")


@dataclass(frozen=True, slots=True)
class _Parts:
    settings: Settings
    api: Cluster
    figures: Metrics
    loops: Loops
    keys: MasterKeys
    registry: kopf.OperatorRegistry


def main(settings: Settings) -> int:
    """Run the controller until SIGTERM or SIGINT; give the exit code: 0 asked to stop, 1 failed, 2 bad settings."""
    configure_logs(settings.log_level)
    try:
        asyncio.run(_until_signal(settings, os.environ))
    except SettingsError as error:
        _LOG.error("bad settings", error=str(error))
        return 2
    except Exception:  # noqa: BLE001 - the last line of the process: told here, and Kubernetes starts it anew
        _LOG.exception("the controller failed")
        return 1
    return 0


async def _until_signal(settings: Settings, environment: Mapping[str, str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, environment, stop=stop)


async def run(
    settings: Settings, environment: Mapping[str, str], *, stop: asyncio.Event, sidecar_port: int = HEALTH_PORT
) -> None:
    """Run the controller until ``stop``. Raises SettingsError at start; an ExceptionGroup when a part of it failed."""
    configuration = await load_configuration(environment)
    figures = metrics()
    async with cluster(configuration, figures.observe_call) as api:
        keys = MasterKeys(api, settings.namespace)
        recorder = Recorder(api, figures, socket.gethostname())
        reconciler = Reconciler(api, Sidecars(sidecar_port), recorder, settings, keys)
        loops = Loops(api, reconciler, figures, resync_s=settings.resync_seconds)
        registry = kopf.OperatorRegistry()
        report = functools.partial(_hand_over, asyncio.get_running_loop(), loops)
        register(registry, report, functools.partial(connection, configuration))
        _LOG.info("controller starts", server=configuration.host)
        await _serve(_Parts(settings, api, figures, loops, keys, registry), stop)
    _LOG.info("controller ends")


def _hand_over(loop: asyncio.AbstractEventLoop, loops: Loops, change: Change, is_gone: bool) -> None:
    """Bring a change from kopf's thread into the controller's loop."""
    loop.call_soon_threadsafe(loops.report, change, is_gone)


async def _serve(parts: _Parts, stop: asyncio.Event) -> None:
    loops, settings = parts.loops, parts.settings
    heartbeat = Heartbeat(parts.figures)
    app = health_app(parts.figures, heartbeat, loops.not_ready)
    endless = [heartbeat.run(), loops.work(), loops.sweep(), loops.sample()]
    endless.append(parts.keys.follow(loops.sweep_soon))
    if settings.self_managed_certificates:
        endless.append(CertificateKeeper(parts.api, settings, parts.figures).run())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, bind(settings.health_port), stop=stop))
        background = [tasks.create_task(part) for part in endless]
        # Once the policies were listed, the CRD exists: kopf looks for it only once.
        if await is_first(loops.first_sweep, stop):
            await keep_watching(parts.registry, operator_settings(), stop=stop)
        # Every pass can be broken off anywhere and is simply done again by the next controller.
        for task in background:
            task.cancel()
