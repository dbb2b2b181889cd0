"""The client's side of the wire: this module bounds what a caller can make the sidecar hold, and for how long.

The ASGI server has no such bounds of its own; without them one connection without a token could fill the memory
(PERFORMANCE 7).
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

__all__ = ["GuardedProtocol"]

_MAX_HEAD_BYTES = 64 * 1024
"""Also the bound of trailers, and of what comes without making a header, a piece of a body or a chunk whole."""
_MAX_WAITING = 8
"""Requests that may be sent ahead on one connection; each waiting one takes a kilobyte or two."""
_MAX_WAITING_BODY_BYTES = 64 * 1024
_TOO_LARGE = "The head of the request is larger than 64 KiB."
_FRAMING = (b"content-length", b"transfer-encoding")


class _HeadTooLarge(Exception):
    """Raised inside the parser's callbacks to stop it; the protocol answers 400."""


class _TooFarAhead(Exception):
    """Raised inside the parser's callbacks to stop it; the protocol closes the connection."""


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a bounded head, a bounded queue, no silent connections and no upgrades."""

    head_timeout_s = 30.0
    """How long a connection may stay silent before its first request, and how long a head may take."""
    stall_timeout_s = 120.0
    """How long a client may leave an answer unread that fills the buffers."""
    _is_in_head = False
    _is_resuming = False
    _field_bytes = 0
    _pending_bytes = 0
    _has_progressed = False
    _deadline: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None
    """The request that is being answered; others may wait behind it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Close a connection on which no request begins."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.head_timeout_s, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers, and tell the request under way: the base tells only the one that came last."""
        self._disarm()
        self._disarm_stall()
        self._unset_keepalive_if_required()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read; not for ever."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.stall_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._disarm_stall()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and watch what is not whole yet.

        The timer of an idle connection goes on until a request begins: an empty line or the rest of a body that was
        answered already is none.
        """
        self._has_progressed = False
        self._feed(data)
        if self.transport.is_closing():
            return
        # The parser holds an unfinished header or trailer itself, and counts no chunk extension.
        is_pending = self._is_in_head or not self._has_progressed
        self._pending_bytes = self._pending_bytes + len(data) if is_pending else 0
        if self._pending_bytes > _MAX_HEAD_BYTES:
            self.send_400_response(_TOO_LARGE)
        elif self._is_in_head and self._deadline is None:
            self._deadline = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, _TooFarAhead):
                self.transport.close()
                return
            is_too_large = self._field_bytes > _MAX_HEAD_BYTES
            self.send_400_response(_TOO_LARGE if is_too_large else "The request is not valid HTTP/1.1.")

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 (RFC 9110 section 7.8) with a new parser; the old one takes the body for another protocol.

        The new parser learns the framing of the body, which the old one found valid, from a head that nobody sees.
        """
        framing = [b"%b: %b\r\n" % header for header in self.headers if header[0] in _FRAMING]
        self.parser = httptools.HttpRequestParser(self)
        self._is_resuming = True
        self._feed(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n" + rest)

    def on_message_begin(self) -> None:
        """A head starts."""
        if self._is_resuming:
            return
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._is_in_head = self._has_progressed = True
        self._field_bytes = self._pending_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        if self._is_resuming:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; trailers of a body are counted like a head and then dropped."""
        self._has_progressed = True
        if self._is_resuming:
            return
        self._count(len(name) + len(value) + 4)
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._is_resuming:
            self._is_resuming = False
            return
        self._is_in_head = False
        self._disarm()
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        if self.pipeline:
            if len(self.pipeline) > _MAX_WAITING:
                raise _TooFarAhead
            # The base stops reading until it is this request's turn; a client that leaves would not be noticed then.
            self.flow.resume_reading()

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._has_progressed = True

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on; while the request waits for its turn, only little of it is held."""
        self._has_progressed = True
        super().on_body(body)
        if self.pipeline and len(self.cycle.body) > _MAX_WAITING_BODY_BYTES:
            raise _TooFarAhead

    def on_message_complete(self) -> None:
        """The request is whole, unless a new parser is about to read its body."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > _MAX_HEAD_BYTES:
            raise _HeadTooLarge

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _disarm_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
