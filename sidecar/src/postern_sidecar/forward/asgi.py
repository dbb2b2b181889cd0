"""Carrying one request to the server and the answer back, streaming both ways: this module is the reference path.

Every other way to forward must give the same bytes as this one.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from postern_sidecar.forward.connection import UpstreamConnection
from postern_sidecar.forward.faults import Fault, UpstreamFailed, fault_answer
from postern_sidecar.forward.headers import Headers, framing_headers, response_headers, slash_redirect
from postern_sidecar.forward.pool import UpstreamPool
from postern_sidecar.forward.response import ResponseHead
from postern_sidecar.forward.upload import ClientGone, Receive, Send, Upload
from postern_sidecar.logs import get_logger

__all__ = ["Forwarder", "Order", "send_answer"]

_REPEATABLE = frozenset((b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PUT"))
"""Idempotent methods (RFC 9110 section 9.2.2): only these may be sent again on a fresh connection."""
_LINGER_S = 5.0
"""How long the rest of a body is read and dropped after an early answer, before the client's connection is closed."""
_REPEAT_WITHIN_S = 5.0
_MAX_REMEMBERED = 64

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """A decided request, ready for the wire."""

    method: bytes
    path: bytes
    """On the server, without query."""
    query: bytes
    headers: Headers
    """For the server, without framing; names in lower case, Host among them."""
    length: int | None
    """Bytes of the body; 0: none; None: unknown, sent in chunks."""
    has_length: bool
    """Whether the client stated a length."""
    response_headers: Headers
    """Take the place of the server's same-named ones (CORS)."""


async def send_answer(send: Send, status: int, headers: Headers, body: bytes, *, is_head: bool) -> None:
    """Send an answer of our own; Content-Length and Date are added, the body of an answer to HEAD is left out."""
    framing = [] if status in (204, 304) else [(b"content-length", str(len(body)).encode())]
    start = [*headers, *framing, (b"date", formatdate(usegmt=True).encode())]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": b"" if is_head or not framing else body})


class Forwarder:
    """Carries requests to one server. It learns slash redirects, so one belongs to one policy."""

    def __init__(self, pool: UpstreamPool, *, host: bytes, count_fault: Callable[[Fault], None]) -> None:
        self._pool = pool
        self._host = host
        self._count_fault = count_fault
        self._moved: dict[bytes, bytes] = {}

    async def carry(self, order: Order, receive: Receive, send: Send) -> None:
        """Forward, answer 502 or 504 when the server gives no answer, and cut the client off when it cuts its own.

        Returns without completing the response in the last case: the ASGI server then closes the client's connection.
        """
        upload = Upload(receive, order.length)
        try:
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(upload.run())
                await self._exchange(order, upload, send)
                pump.cancel()
        except* ClientGone:
            _log.debug("client gone")

    async def _exchange(self, order: Order, upload: Upload, send: Send) -> None:
        try:
            connection, head = await self._ask(order, upload)
        except UpstreamFailed as failure:
            upload.detach()
            self._note(failure)
            await _send_fault(send, failure.fault, order)
            return
        try:
            await _pass_back(connection, head, order, upload, send)
        except UpstreamFailed as failure:
            self._note(failure)
        finally:
            self._give_back(connection, upload)

    async def _ask(self, order: Order, upload: Upload) -> tuple[UpstreamConnection, ResponseHead]:
        """Get the head of the answer; a redirect to the slash form of the same path is followed once."""
        path = self._moved.get(order.path, order.path)
        connection, head = await self._ask_at(path, order, upload)
        target = _target(path, order)
        location = next((value for name, value in head.headers if name == b"location"), None)
        if head.status == 404 and path != order.path:
            self._moved.pop(order.path, None)
        if head.status not in (307, 308) or location is None:
            upload.forget()
            return connection, head
        other = slash_redirect(target, location, host=self._host)
        if other is None or not await self._can_repeat(connection, upload):
            return connection, head
        self._give_back(connection, upload)
        moved = other.partition(b"?")[0]
        answer = await self._ask_at(moved, order, upload)
        upload.forget()
        self._remember(order.path, moved)
        return answer

    async def _can_repeat(self, connection: UpstreamConnection, upload: Upload) -> bool:
        upload.detach()
        try:
            return await upload.can_repeat(within_s=_REPEAT_WITHIN_S)
        except BaseException:  # cancelled: the client is gone, so the server must not go on
            connection.abort()
            raise

    async def _ask_at(self, path: bytes, order: Order, upload: Upload) -> tuple[UpstreamConnection, ResponseHead]:
        connection = await self._pool.acquire()
        try:
            return connection, await self._begin(connection, path, order, upload)
        except UpstreamFailed:
            is_stale = connection.exchanges > 1 and connection.is_untouched
            if not is_stale or order.length != 0 or order.method not in _REPEATABLE:
                raise
        connection = await self._pool.acquire(fresh=True)
        return connection, await self._begin(connection, path, order, upload)

    async def _begin(self, connection: UpstreamConnection, path: bytes, order: Order, upload: Upload) -> ResponseHead:
        connection.begin(order.method)
        framing = framing_headers(order.method, order.length, sent_length=order.has_length)
        lines = [b"%b %b HTTP/1.1" % (order.method, _target(path, order))]
        lines += [b"%b: %b" % header for header in order.headers + framing]
        upload.attach(connection, b"\r\n".join(lines) + b"\r\n\r\n")
        try:
            return await connection.head()
        except BaseException:  # cancelled or failed: this connection serves nobody any more
            connection.abort()
            raise

    def _give_back(self, connection: UpstreamConnection, upload: Upload) -> None:
        """Give it back to the pool; never when the body did not end on it: its rest would begin the next request."""
        upload.detach()
        if upload.has_ended_on(connection):
            self._pool.release(connection)
        else:
            connection.abort()

    def _remember(self, path: bytes, moved: bytes) -> None:
        self._moved.pop(moved, None)
        if path != moved and len(self._moved) < _MAX_REMEMBERED:
            self._moved[path] = moved

    def _note(self, failure: UpstreamFailed) -> None:
        self._count_fault(failure.fault)
        _log.warning("forwarding failed", fault=str(failure.fault), detail=str(failure))


def _target(path: bytes, order: Order) -> bytes:
    return path + b"?" + order.query if order.query else path


async def _pass_back(
    connection: UpstreamConnection, head: ResponseHead, order: Order, upload: Upload, send: Send
) -> None:
    """Send head and body to the client as they come. Raises UpstreamFailed when the server cuts the body."""
    headers = response_headers(head.headers, status=head.status, replacing=order.response_headers)
    if all(name != b"date" for name, _ in headers):
        headers.append((b"date", formatdate(usegmt=True).encode()))
    is_early = not upload.is_done
    if is_early:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": head.status, "headers": headers})
    is_last = False
    while not is_last:
        data, is_last = await connection.read()
        if data:
            await send({"type": "http.response.body", "body": data, "more_body": not is_last or is_early})
    if is_early:
        await upload.drop_rest(within_s=_LINGER_S)
    if is_early or not data:
        await send({"type": "http.response.body", "body": b""})


async def _send_fault(send: Send, fault: Fault, order: Order) -> None:
    answer = fault_answer(fault)
    body = json.dumps({"error": str(fault), "error_description": answer.text}).encode()
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *order.response_headers]
    await send_answer(send, answer.status, headers, body, is_head=order.method == b"HEAD")
