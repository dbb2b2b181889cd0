"""The webhook role put together: this module is its composition root, from settings to exit code."""

import asyncio
import gc
import os
import signal
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from postern_operator.certificates.serving import LiveCertificate
from postern_operator.cluster import cluster, load_configuration
from postern_operator.errors import SettingsError
from postern_operator.health import Heartbeat, health_app
from postern_operator.logs import configure_logs
from postern_operator.metrics import metrics
from postern_operator.serving import bind, is_first, serve
from postern_operator.settings import Settings
from postern_operator.webhook.app import Admission, create_app

__all__ = ["Listeners", "main", "run"]

_LOG = structlog.stdlib.get_logger("postern.webhook")
_RELOAD_S = 2.0
_HANDSHAKE_PERIOD_S, _HANDSHAKE_RETRY_S = 5.0, 0.1
_HANDSHAKE_TIMEOUT_S = 3.0
_WITHDRAWAL_S = 7.0
"""From SIGTERM to closing the port: meanwhile every node learns that this endpoint is gone."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """The bound sockets of the role. The webhook's refuses connections until there is a certificate."""

    webhook: socket.socket
    health: socket.socket


class _Serving:
    """Whether the webhook's port shows the certificate that it should."""

    def __init__(self, certificate: LiveCertificate, port: int) -> None:
        self._certificate = certificate
        self._port = port
        self._reason = "waiting for the certificate"
        self.loaded = asyncio.Event()
        self.is_stopping = False

    def not_ready(self) -> str:
        """Give why the role is not ready (a health.Readiness)."""
        return "stopping" if self.is_stopping else self._reason

    async def reload(self) -> None:
        """Take renewed certificates until cancelled; the former one serves on while a new pair is not whole."""
        told = ""
        while True:
            try:
                if await asyncio.to_thread(self._certificate.load):
                    _LOG.info("certificate loaded")
                    self.loaded.set()
                told = ""
            except OSError as error:
                if told != str(error):  # once for each cause, not every two seconds
                    told = str(error)
                    _LOG.warning("the certificate cannot be loaded; trying on", error=told)
            await asyncio.sleep(_RELOAD_S)

    async def shake_hands(self) -> None:
        """Look at the port as the API server does, once there is a certificate, until cancelled."""
        await self.loaded.wait()
        while True:
            self._reason = await self._handshake()
            await asyncio.sleep(_HANDSHAKE_RETRY_S if self._reason else _HANDSHAKE_PERIOD_S)

    async def _handshake(self) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # compared with our own file below, which says more
        expected = self._certificate.certificate
        try:
            async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S):
                _, writer = await asyncio.open_connection("localhost", self._port, ssl=context)
                shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            return f"no TLS handshake with the own port: {error or type(error).__name__}"
        return "" if shown == expected else "the own port shows another certificate than the one loaded"


def main(settings: Settings) -> int:
    """Run the webhook until SIGTERM or SIGINT; give the exit code: 0 asked to stop, 1 failed, 2 bad settings."""
    configure_logs(settings.log_level)
    # What the libraries made at import lives for ever; a full collection over it would hold up answers for 50 ms.
    gc.collect()
    gc.freeze()
    try:
        asyncio.run(_until_signal(settings))
    except SettingsError as error:
        _LOG.error("bad settings", error=str(error))
        return 2
    except Exception:  # noqa: BLE001 - the last line of the process: told here, and Kubernetes starts it anew
        _LOG.exception("the webhook failed")
        return 1
    return 0


async def _until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    listeners = Listeners(bind(settings.webhook_port), bind(settings.health_port))
    await run(settings, os.environ, listeners, stop=stop)


async def run(
    settings: Settings,
    environment: Mapping[str, str],
    listeners: Listeners,
    *,
    stop: asyncio.Event,
    withdrawal_s: float = _WITHDRAWAL_S,
) -> None:
    """Run the webhook until ``stop``: then not ready at once, closed after ``withdrawal_s``, drained, done.

    Raises SettingsError at start; an ExceptionGroup when a part of it failed.
    """
    configuration = await load_configuration(environment)
    figures = metrics()
    certificate = LiveCertificate(settings.certificate_directory)
    state = _Serving(certificate, listeners.webhook.getsockname()[1])
    heartbeat = Heartbeat(figures)
    closed = asyncio.Event()
    with listeners.webhook, listeners.health:
        async with cluster(configuration, figures.observe_call) as api, asyncio.TaskGroup() as tasks:
            health = health_app(figures, heartbeat, state.not_ready)
            tasks.create_task(serve(health, listeners.health, stop=closed))
            background = [tasks.create_task(part) for part in (heartbeat.run(), state.reload(), state.shake_hands())]
            if await is_first(state.loaded, stop):
                app = create_app(Admission(api, settings, figures))
                tasks.create_task(serve(app, listeners.webhook, stop=closed, tls=certificate.context()))
                await stop.wait()
                state.is_stopping = True
                await asyncio.sleep(withdrawal_s)
            closed.set()
            for task in background:
                task.cancel()
    _LOG.info("webhook ends")
