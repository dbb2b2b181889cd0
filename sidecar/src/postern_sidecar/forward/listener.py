"""The client's side of the wire: this module bounds how large and how slow the head of a request may be.

The ASGI server has no such bound of its own; without one, a caller without a token could fill the memory (PERFORMANCE
7).
"""

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["GuardedProtocol"]

_MAX_HEAD_BYTES = 64 * 1024
_TOO_LARGE = "The head of the request is larger than 64 KiB."
_FRAMING = (b"content-length", b"transfer-encoding")


class _HeadTooLarge(Exception):
    """Raised inside the parser's callbacks to stop it; the protocol answers 400."""


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a bounded head, no silent connections and no upgrades."""

    head_timeout_s = 30.0
    """How long a connection may stay silent before its first request, and how long a head may take."""
    _is_in_head = False
    _is_resuming = False
    _field_bytes = 0
    _fed_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Close a connection on which no request begins."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(self.head_timeout_s, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._disarm()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and watch a head that is not whole yet."""
        self._unset_keepalive_if_required()
        self._feed(data)
        if not self._is_in_head or self.transport.is_closing():
            return
        self._fed_bytes += len(data)
        if self._fed_bytes > _MAX_HEAD_BYTES:
            self.send_400_response(_TOO_LARGE)
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_timeout_s, self.transport.close)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_upgrade(data[offer.args[0] :])
        except httptools.HttpParserError:
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
        self._is_in_head = True
        self._field_bytes = self._fed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        if self._is_resuming:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header; trailers of a body are counted like a head and then dropped."""
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
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole, unless a new parser is about to read its body."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > _MAX_HEAD_BYTES:
            raise _HeadTooLarge

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
