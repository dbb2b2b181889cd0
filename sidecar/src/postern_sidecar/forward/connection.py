"""One keep-alive connection to the server: this module is its asyncio protocol, with back-pressure both ways."""

import asyncio
import select
from collections.abc import Callable
from typing import cast

from postern_sidecar.forward.faults import UpstreamFailed
from postern_sidecar.forward.response import ResponseHead, ResponseReader

__all__ = ["UpstreamConnection"]

_HIGH_WATER_BYTES = 64 * 1024
"""Bytes of an answer held for a slow client before reading from the server pauses."""


class UpstreamConnection(asyncio.Protocol):
    """Carries one exchange at a time; one coroutine reads, one writes."""

    def __init__(self, on_idle_lost: Callable[["UpstreamConnection"], None]) -> None:
        self.exchanges = 0
        """How many exchanges were begun; more than one: the connection was kept alive."""
        self.idle_since = 0.0
        """Loop time at which it was given back."""
        self.is_closed = False
        self.is_untouched = True
        """Not one byte of an answer arrived in this exchange."""
        self._on_idle_lost = on_idle_lost
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._failure: UpstreamFailed | None = None
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_read_paused = False
        self._is_write_paused = False

    def begin(self, method: bytes) -> None:
        """Start an exchange."""
        self.exchanges += 1
        self.is_untouched = True
        self._reader = ResponseReader(method)
        self._pieces = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Send; after the server closed this does nothing, for its answer may still be read."""
        if self._transport is not None and not self.is_closed:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the server does not read."""
        while self._is_write_paused and not self.is_closed:
            self._writable = asyncio.get_running_loop().create_future()
            await self._writable

    async def head(self) -> ResponseHead:
        """Wait for the head of the answer, as long as it takes. Raises UpstreamFailed."""
        while True:
            reader = self._current()
            if reader.head is not None:
                return reader.head
            if self._failure is not None:
                raise self._failure
            await self._wait_readable()

    async def read(self) -> tuple[bytes, bool]:
        """Wait for the next bytes of the body; True: they are the last. Raises UpstreamFailed when the body is cut."""
        while True:
            reader = self._current()
            if self._pieces or reader.complete:
                data = b"".join(self._pieces)
                self._pieces = []
                self._held_bytes = 0
                self._resume_reading()
                return data, reader.complete
            if self._failure is not None:
                raise self._failure
            await self._wait_readable()

    def is_quiet(self) -> bool:
        """Whether the kernel holds nothing unread for this idle connection, not even an end the loop has yet to see.

        A request sent into a connection that is closing is lost, and one with a body must not be sent twice.
        """
        if self.is_closed or self._transport is None:
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def finish(self) -> bool:
        """End the exchange; True: the connection may carry another one."""
        reader, self._reader = self._reader, None
        self._resume_reading()
        return reader is not None and reader.complete and reader.reusable and not self.is_closed and not self._pieces

    def abort(self) -> None:
        """Close at once; the server sees a reset or an end, and can cancel its work (SPEC 69)."""
        self._reader = None
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        """Read on; bytes on an idle connection were not asked for and end it."""
        self.is_untouched = False
        reader = self._reader
        if reader is None:
            self.abort()
            return
        try:
            pieces = reader.feed(data)
        except UpstreamFailed as failure:
            self._failure = failure
            if self._transport is not None:
                self._transport.abort()
        else:
            self._pieces += pieces
            self._held_bytes += sum(map(len, pieces))
            if self._held_bytes > _HIGH_WATER_BYTES and not self._is_read_paused and self._transport is not None:
                self._is_read_paused = True
                self._transport.pause_reading()
        self._wake(self._readable)

    def eof_received(self) -> None:
        """Nothing more comes; an idle connection must not be lent out in the moment before connection_lost."""
        if self._reader is None:
            self.is_closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Judge what the end means for the exchange, and wake whoever waits."""
        self.is_closed = True
        if self._reader is None:
            self._on_idle_lost(self)
        elif self._failure is None:
            try:
                self._reader.end(clean=exc is None)
            except UpstreamFailed as failure:
                self._failure = failure
        self._wake(self._readable)
        self._wake(self._writable)

    def pause_writing(self) -> None:
        """The server does not read."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """The server reads again."""
        self._is_write_paused = False
        self._wake(self._writable)

    def _current(self) -> ResponseReader:
        if self._reader is None:
            raise RuntimeError("no exchange was begun on this connection")
        return self._reader

    def _resume_reading(self) -> None:
        if self._is_read_paused and self._transport is not None and not self.is_closed:
            self._is_read_paused = False
            self._transport.resume_reading()

    async def _wait_readable(self) -> None:
        self._readable = asyncio.get_running_loop().create_future()
        await self._readable

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
