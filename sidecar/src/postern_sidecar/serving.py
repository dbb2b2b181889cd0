"""Sockets, servers and the end of the process: this module serves two ASGI applications until a signal says stop."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from postern_sidecar.forward.listener import GuardedProtocol
from postern_sidecar.logs import get_logger
from postern_sidecar.settings import Address

__all__ = ["Server", "Servers", "bind", "create_server"]

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Above the 60 seconds for which common ingresses keep connections: they must close first, or their requests meet
ours."""
_ENDING_S = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = get_logger(__name__)


def bind(address: Address) -> socket.socket:
    """Give a listening socket. ``[::]`` takes IPv4 too, and becomes 0.0.0.0 on a kernel without IPv6. Raises OSError.

    Bound to both families, so that nothing in the pod can slip in beside it on one of them; SO_REUSEPORT is not set, so
    that nothing can share it.
    """
    if address.host == "::":
        try:
            return socket.create_server(
                ("::", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=_BACKLOG
            )
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
        return socket.create_server(("0.0.0.0", address.port), backlog=_BACKLOG)  # noqa: S104 - as [::] asks for
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)


class Server(uvicorn.Server):
    """A server that leaves the signals to the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing; there are two servers and one order of ending."""
        yield


class Servers:
    """The guarded port and the health port."""

    def __init__(self, guarded: Any, health: Any, *, drain_s: int) -> None:
        self._guarded = create_server(guarded, drain_s=drain_s)
        self._health = create_server(health, drain_s=1)
        self._drain_s = drain_s

    def is_listening(self) -> bool:
        """Whether both serve."""
        return self._guarded.started and self._health.started

    def is_draining(self) -> bool:
        """Whether a signal came."""
        return self._guarded.should_exit

    async def run(self, guarded: socket.socket, health: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is open within the drain time.

        A second signal ends it at once. The health port answers until the end.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._health.serve([health]))
                await self._guarded.serve([guarded])
                await _end(self._guarded)
                self._health.should_exit = True
                self._health.force_exit = self._guarded.force_exit
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self._guarded.should_exit:
            _log.warning("stopping at once")
            self._guarded.force_exit = True
            return
        _log.info("draining", seconds=self._drain_s, open_connections=len(self._guarded.server_state.connections))
        self._guarded.should_exit = True


def create_server(app: Callable[..., Any], *, drain_s: int) -> Server:
    """Give a server for one application; it closes what is still open drain_s seconds after it was told to exit."""
    return Server(
        uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=drain_s,
        )
    )


async def _end(server: Server) -> None:
    """Cancel the requests that are still open, and give them a moment to close their connections."""
    tasks = set(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_ENDING_S)
