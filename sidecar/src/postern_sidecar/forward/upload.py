"""The request body on its way to the server: this module is the pump, and the watch for a client that went away."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from postern_sidecar.errors import SidecarError
from postern_sidecar.forward.connection import UpstreamConnection

__all__ = ["ClientGone", "Message", "Receive", "Send", "Upload"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_MAX_KEPT_BYTES = 64 * 1024
"""A body up to this size can be sent once more after a redirect to the slash form of its path."""


class ClientGone(SidecarError):
    """Raised when the client closed its connection before the exchange ended."""


class Upload:
    """Pumps one request body to whichever connection is attached; what comes while none is attached is dropped.

    The body is never held back for keeping: it goes on at once, and its pieces are remembered beside.
    """

    def __init__(self, receive: Receive, length: int | None) -> None:
        self._receive = receive
        self._is_chunked = length is None
        self._connection: UpstreamConnection | None = None
        self._kept: list[bytes] | None = []
        self._kept_bytes = 0
        self._started = asyncio.Event()
        self._settled = asyncio.Event()
        self._ended_on: UpstreamConnection | None = None
        self.is_done = length == 0
        """The client has sent the whole body."""
        if self.is_done:
            self._settled.set()

    async def run(self) -> None:
        """Pump, then watch. Ends only by ClientGone, or when cancelled."""
        await self._started.wait()  # a body read before it has a way to go would have to be held
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if self.is_done:
                continue
            self._pass(message.get("body", b""), is_last=not message.get("more_body", False))
            if self._connection is not None:
                await self._connection.drain()

    def attach(self, connection: UpstreamConnection, head: bytes) -> None:
        """Send the head and what is kept of the body, then the rest as it comes."""
        body = b"".join(map(self._frame, self._kept or []))
        connection.write(head + body + self._end() if self.is_done else head + body)
        self._connection = connection
        self._ended_on = connection if self.is_done else None
        self._started.set()

    def detach(self) -> None:
        """Let the rest of the body go nowhere."""
        self._connection = None
        self._started.set()

    def has_ended_on(self, connection: UpstreamConnection) -> bool:
        """Whether the whole request went out on this connection; otherwise it must not carry another one."""
        return self._ended_on is connection

    def forget(self) -> None:
        """Release what is kept of the body; it will not be sent again."""
        self._kept = None
        self._settled.set()

    async def can_repeat(self, *, within_s: float) -> bool:
        """Wait until the whole body is there or too long to be kept; True: attach() may send it again."""
        try:
            async with asyncio.timeout(within_s):
                await self._settled.wait()
        except TimeoutError:
            return False
        return self._kept is not None

    async def drop_rest(self, *, within_s: float) -> None:
        """Wait until the client has sent everything, so that closing does not reset its connection under the answer."""
        self.detach()
        self._settled = settled = asyncio.Event()
        if self.is_done:
            return
        try:
            async with asyncio.timeout(within_s):
                await settled.wait()
        except TimeoutError:
            return

    def _pass(self, data: bytes, *, is_last: bool) -> None:
        self._keep(data)
        self.is_done = is_last
        if self._connection is not None:
            self._connection.write(self._frame(data) + self._end() if is_last else self._frame(data))
        if is_last:
            self._ended_on = self._connection
            self._settled.set()

    def _keep(self, data: bytes) -> None:
        self._kept_bytes += len(data)
        if self._kept_bytes > _MAX_KEPT_BYTES:
            if self._kept is not None:
                self._kept = None
                self._settled.set()
        elif self._kept is not None and data:
            self._kept.append(data)

    def _frame(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked and data else data

    def _end(self) -> bytes:
        return b"0\r\n\r\n" if self._is_chunked else b""
