"""From a request for the facade to its answer: this module reads the body, asks, sends and records."""

import asyncio
import time
from email.utils import formatdate

from postern_sidecar.facade.artefacts import fingerprint
from postern_sidecar.facade.facade import Facade, FacadeEndpoint, answer_fault
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest
from postern_sidecar.forward.asgi import send_answer
from postern_sidecar.forward.headers import request_length
from postern_sidecar.forward.upload import ClientGone, Receive, Send
from postern_sidecar.gate.issuer import ClientState
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.logs import get_logger
from postern_sidecar.metrics import FacadeMetrics
from postern_sidecar.proxy.events import EVENTS, OTHER_EVENT

__all__ = ["BODY_S", "MAX_BODY_BYTES", "FacadeServer"]

MAX_BODY_BYTES = 64 * 1024
BODY_S = 10.0
"""For the whole body; whoever needs longer for 64 KiB holds a connection for nothing."""
_LINGER_S = 5.0
"""How long the rest of a body that is too long is read and dropped, so that its sender sees the answer."""
_MAX_CLIENT_ID = 200
_CLOSE = (b"connection", b"close")


class FacadeServer:
    """Serves the facade of one policy."""

    def __init__(self, facade: Facade | None, metrics: FacadeMetrics, *, audit: bool, body_s: float = BODY_S) -> None:
        """Take the facade; None: there is no key ring to seal with, so that every endpoint is unavailable."""
        self.facade = facade
        self._metrics = metrics
        self._audit = audit
        self._body_s = body_s

    def client_state(self) -> ClientState:
        """Give what our client at the identity provider is good for."""
        return "keys_missing" if self.facade is None else self.facade.context.exchange.client_state()

    async def serve(
        self, endpoint: FacadeEndpoint, head: RequestHead, request_id: str, *, receive: Receive, send: Send
    ) -> None:
        """Answer one request. Raises UnsupportedRequest for framing that two parsers may read differently."""
        length = request_length(list(head.headers))
        try:
            body = await _read_body(receive, length, self._body_s)
        except ClientGone:
            return
        except OAuthFault as fault:
            answer = answer_fault(endpoint, fault, request_id)
            self._record(endpoint, head, answer, request_id=request_id, latency_s=0.0)
            await _send_early(answer, receive, send)
            return
        began = time.perf_counter()
        request = FacadeRequest(head.method, head.query, head.headers, body, request_id, time.time())
        answer = await self._answer(endpoint, request)
        latency_s = time.perf_counter() - began
        self._record(endpoint, head, answer, request_id=request_id, latency_s=latency_s)
        await send_answer(send, answer.status, list(answer.headers), answer.body, is_head=head.method == "HEAD")

    async def _answer(self, endpoint: FacadeEndpoint, request: FacadeRequest) -> FacadeAnswer:
        if self.facade is not None:
            return await self.facade.answer(endpoint, request)
        fault = OAuthFault("temporarily_unavailable", "The key ring of this server is not available at present.")
        return answer_fault(endpoint, fault, request.request_id)

    def _record(
        self, endpoint: FacadeEndpoint, head: RequestHead, answer: FacadeAnswer, *, request_id: str, latency_s: float
    ) -> None:
        """Count an answer, and write its audit line: never a code, token, secret, query or body."""
        event = answer.event if answer.event in EVENTS else OTHER_EVENT
        self._metrics.requests.labels(endpoint.value, event).inc()
        self._metrics.seconds.labels(endpoint.value).observe(latency_s)
        if not self._audit:
            return
        get_logger("postern.audit").info(
            "facade",
            endpoint=endpoint.value,
            result=answer.event,
            status=answer.status,
            client=_short(answer.client_id),
            subject=answer.subject or None,
            method=head.method,
            peer=head.peer,
            request_id=request_id,
            latency_s=round(latency_s, 6),
        )


async def _read_body(receive: Receive, length: int | None, within_s: float) -> bytes:
    """Read the whole body. Raises ClientGone, or OAuthFault when it is too long or does not come."""
    too_long = OAuthFault("request_too_large", "The body is longer than 64 KiB.")
    if length is not None and length > MAX_BODY_BYTES:
        raise too_long
    body = bytearray()
    is_last = length == 0
    try:
        async with asyncio.timeout(within_s):
            while not is_last:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise too_long
                is_last = not message.get("more_body", False)
    except TimeoutError as error:
        raise OAuthFault("request_timeout", "The body did not come in time.") from error
    return bytes(body)


async def _send_early(answer: FacadeAnswer, receive: Receive, send: Send) -> None:
    """Send an answer before the request is complete, and read on for a while, for closing would reset it."""
    framing = (b"content-length", str(len(answer.body)).encode())
    headers = [*answer.headers, _CLOSE, framing, (b"date", formatdate(usegmt=True).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    try:
        async with asyncio.timeout(_LINGER_S):
            while (message := await receive())["type"] != "http.disconnect" and message.get("more_body", False):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


def _short(client_id: str) -> str | None:
    """Give a client id for the log; a sealed one is a kilobyte, so that its fingerprint stands for it."""
    is_sealed = client_id.count(".") == 4 and client_id.startswith("ey")
    if is_sealed or len(client_id) > _MAX_CLIENT_ID:
        return fingerprint(client_id)[:16]
    return client_id or None
