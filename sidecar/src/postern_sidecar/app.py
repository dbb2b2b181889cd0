"""From a request to its answer: this module is the ASGI application of the guarded port.

It asks the gate of the policy in force, then sends the gate's answer or has the request carried. It decides nothing
itself.
"""

import json
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

from postern_sidecar.enforced import Enforced
from postern_sidecar.forward.asgi import send_answer
from postern_sidecar.forward.faults import UnsupportedRequest
from postern_sidecar.forward.headers import (
    Headers,
    sane_request_id,
    strip_whitespace,
)
from postern_sidecar.forward.upload import Receive, Send
from postern_sidecar.gate.audit import record
from postern_sidecar.gate.decision import Answer, FacadeCall
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.logs import get_logger
from postern_sidecar.policy.live import Live

__all__ = ["GuardedApp"]

_CLOSE = (b"connection", b"close")
_NO_POLICY_RETRY_S = 5

_log = get_logger(__name__)


class GuardedApp:
    """The ASGI application of the guarded port."""

    def __init__(self, live: Live[Enforced]) -> None:
        self._live = live

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except Exception:  # told in our own log format, then left to the ASGI server, which answers 500 or cuts off
            _log.exception("request failed")
            raise

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        head = _head(scope)
        enforced = self._live.current
        if enforced is None:
            await _send_no_policy(send, is_head=head.method == "HEAD")
            return
        began = time.perf_counter()
        decision = await enforced.decide(head, time.time())
        request_id = sane_request_id(head.headers) or secrets.token_hex(16).encode()
        if isinstance(decision, FacadeCall):
            await _serve(enforced, decision, head, request_id.decode(), wire=(receive, send))
            return
        record(
            head,
            decision,
            request_id=request_id.decode(),
            latency_s=time.perf_counter() - began,
            enabled=enforced.config.log.audit,
        )
        if isinstance(decision, Answer):
            await _send_decided(send, decision, is_head=head.method == "HEAD")
            return
        try:
            order = enforced.order(head, decision, request_id)
        except UnsupportedRequest as error:
            await _send_refusal(send, error, is_head=head.method == "HEAD")
            return
        await enforced.forwarder.carry(order, receive, send)


async def _serve(
    enforced: Enforced, call: FacadeCall, head: RequestHead, request_id: str, *, wire: tuple[Receive, Send]
) -> None:
    receive, send = wire
    try:
        await enforced.serve(call, head, request_id, receive=receive, send=send)
    except UnsupportedRequest as error:
        await _send_refusal(send, error, is_head=head.method == "HEAD")


def _head(scope: MutableMapping[str, Any]) -> RequestHead:
    client = scope.get("client")
    peer = client[0] if client else ""
    return RequestHead(
        method=scope["method"],
        raw_path=scope["raw_path"],
        query=scope["query_string"],
        headers=strip_whitespace(scope["headers"]),
        peer=peer.removeprefix("::ffff:"),
    )


async def _send_decided(send: Send, answer: Answer, *, is_head: bool) -> None:
    plain = [header for header in answer.headers if header[0] != b"content-length"]
    await send_answer(send, answer.status, plain, answer.body, is_head=is_head)


async def _send_no_policy(send: Send, *, is_head: bool) -> None:
    await _send_json(
        send,
        503,
        {"error": "temporarily_unavailable", "error_description": "The sidecar has no usable policy at present."},
        [(b"retry-after", str(_NO_POLICY_RETRY_S).encode())],
        is_head=is_head,
    )


async def _send_refusal(send: Send, error: UnsupportedRequest, *, is_head: bool) -> None:
    body = {"error": "invalid_request", "error_description": str(error)}
    await _send_json(send, error.status, body, [_CLOSE], is_head=is_head)


async def _send_json(send: Send, status: int, body: dict[str, str], headers: Headers, *, is_head: bool) -> None:
    fixed = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send_answer(send, status, [*fixed, *headers], json.dumps(body).encode(), is_head=is_head)
