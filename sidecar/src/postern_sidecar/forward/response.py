"""Reading one answer of the server: this module is the strict parser of its bytes, without I/O.

One reader serves one exchange, so that nothing of an answer can leak into the next.
"""

from dataclasses import dataclass

import httptools

from postern_sidecar.forward.faults import Fault, UpstreamFailed
from postern_sidecar.forward.headers import Headers, strip_whitespace

__all__ = ["MAX_HEAD_BYTES", "ResponseHead", "ResponseReader"]

MAX_HEAD_BYTES = 64 * 1024
"""Bound of an answer's head, interim ones included; beyond it lies a broken server, not an answer."""


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status and headers as the server sent them; names in lower case, no whitespace around values."""

    status: int
    headers: Headers


class ResponseReader:
    """Turns bytes into a head and pieces of a body. Interim answers (1xx) are skipped, trailers dropped."""

    __slots__ = (
        "_fault",
        "_fields",
        "_has_body",
        "_head_bytes",
        "_is_until_close",
        "_parser",
        "_pieces",
        "complete",
        "head",
        "reusable",
    )

    def __init__(self, method: bytes) -> None:
        self.head: ResponseHead | None = None
        self.complete = False
        """The whole answer has been read."""
        self.reusable = False
        """The connection may carry another exchange after this one; meaningful once complete."""
        self._parser = httptools.HttpResponseParser(self)
        self._has_body = method != b"HEAD"
        self._is_until_close = False
        self._fields: Headers = []
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._fault: UpstreamFailed | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Read on; gives the pieces of the body in data.

        Raises UpstreamFailed when this is no answer that can be passed on. Bytes beyond the answer only spoil the
        connection.
        """
        if self.complete:
            self.reusable = False
            return []
        self._pieces = []
        if self.head is None:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise UpstreamFailed(Fault.SWITCHED) from error
        except httptools.HttpParserError as error:
            if not self.complete:
                raise self._fault or UpstreamFailed(Fault.MALFORMED, str(error)) from error
            self.reusable = False
        if self._fault is not None:
            raise self._fault
        if self.head is None and self._head_bytes > MAX_HEAD_BYTES:
            raise UpstreamFailed(Fault.HEAD_TOO_LARGE)
        return self._pieces

    def end(self, *, clean: bool) -> None:
        """Take note that the server closed. clean: by FIN, which ends a body without framing (RFC 9112 section 6.3)."""
        if self._is_until_close and clean:
            self.complete = True
        if self.complete:
            self.reusable = False
            return
        raise UpstreamFailed(Fault.CLOSED if self.head is None else Fault.TRUNCATED)

    def on_message_begin(self) -> None:
        """A message starts: the first, one after an interim one, or one that nobody asked for."""
        if self.complete:
            self.reusable = False
        self._fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or a trailer once the head is known."""
        if self.head is None and not self.complete:
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self.complete or self.head is not None:
            return
        status = self._parser.get_status_code()
        if status == 101:
            self._fault = UpstreamFailed(Fault.SWITCHED)
        if 100 <= status < 200:
            return
        fault = self._head_fault(status)
        if fault is not None:
            self._fault = fault
            return
        names = {name for name, _ in self._fields}
        self.head = ResponseHead(status, strip_whitespace(self._fields))
        self._has_body = self._has_body and status not in (204, 304)
        self._is_until_close = self._has_body and not names & {b"content-length", b"transfer-encoding"}
        if not self._has_body:
            self._finish()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.complete:
            self.reusable = False
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        if self.head is not None and not self.complete:
            self._finish()

    def _head_fault(self, status: int) -> UpstreamFailed | None:
        if not 200 <= status <= 599:
            return UpstreamFailed(Fault.MALFORMED, f"status {status}")
        if sum(len(name) + len(value) + 4 for name, value in self._fields) > MAX_HEAD_BYTES:
            return UpstreamFailed(Fault.HEAD_TOO_LARGE)
        codings = [value for name, value in self._fields if name == b"transfer-encoding"]
        if codings and [value.strip(b" \t").lower() for value in codings] != [b"chunked"]:
            return UpstreamFailed(Fault.MALFORMED, "unknown transfer coding")
        return None

    def _finish(self) -> None:
        self.complete = True
        self.reusable = bool(self._parser.should_keep_alive())
