"""The connections to the one server: this module is the pool that lends them out."""

import asyncio
from collections import deque

from postern_sidecar.forward.connection import UpstreamConnection
from postern_sidecar.forward.faults import Fault, UpstreamFailed

__all__ = ["UpstreamPool"]

_CONNECT_TIMEOUT_S = 5.0
_IDLE_S = 4.0
"""Below the five seconds after which common servers (uvicorn, Node.js) close: a request must not meet a closing
connection."""
_MAX_IDLE = 64
"""Idle connections kept; more are closed when they are given back."""


class UpstreamPool:
    """Lends connections to one address, last used first. Belongs to one event loop."""

    def __init__(self, host: str, port: int, *, idle_s: float = _IDLE_S) -> None:
        self._host = host
        self._port = port
        self._idle_s = idle_s
        self._idle: deque[UpstreamConnection] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """Give a connection, an idle one unless fresh. Raises UpstreamFailed: the server cannot be connected to."""
        oldest = asyncio.get_running_loop().time() - self._idle_s
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.idle_since >= oldest and connection.is_quiet():
                return connection
            connection.abort()
        return await self._connect()

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back after its exchange; whatever is not fit for another one is closed."""
        if not connection.finish() or self._is_closed or len(self._idle) >= _MAX_IDLE:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._idle_s, self._close_old)

    def close(self) -> None:
        """Close the idle connections, and from now on each one that is given back."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            self._idle.pop().abort()

    @property
    def idle(self) -> int:
        """Number of idle connections."""
        return len(self._idle)

    async def _connect(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self._forget), self._host, self._port
                )
        except TimeoutError as error:
            raise UpstreamFailed(Fault.CONNECT_TIMEOUT) from error
        except OSError as error:
            raise UpstreamFailed(Fault.UNREACHABLE, str(error)) from error
        return connection

    def _forget(self, connection: UpstreamConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0].idle_since + self._idle_s <= loop.time():
            self._idle.popleft().abort()
        self._sweep = loop.call_at(self._idle[0].idle_since + self._idle_s, self._close_old) if self._idle else None
