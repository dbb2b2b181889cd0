"""From a request to its answer: this module is the ASGI application of the guarded port.

It asks the gate of the policy in force, then sends the gate's answer or has the request carried. It decides nothing
itself.
"""

import asyncio
import json
import secrets
import time
from collections.abc import MutableMapping
from typing import Any, Protocol

import structlog

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.forward.asgi import Forwarder, Order, send_answer
from postern_sidecar.forward.faults import UnsupportedRequest
from postern_sidecar.forward.headers import (
    Fixed,
    Headers,
    request_headers,
    request_length,
    sane_request_id,
    strip_whitespace,
)
from postern_sidecar.forward.upload import Receive, Send
from postern_sidecar.gate.audit import record
from postern_sidecar.gate.decision import Answer, Decision, Forward
from postern_sidecar.gate.gate import IssuerHealth
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.policy.live import Live
from postern_sidecar.tokens.identity_headers import is_identity_header

__all__ = ["Decider", "Enforced", "GuardedApp"]

_CLOSE = (b"connection", b"close")
_NO_POLICY_RETRY_S = 5

_log = structlog.get_logger(__name__)


class Decider(Protocol):
    """What this module needs of a gate."""

    async def decide(self, head: RequestHead, now: float) -> Decision:
        """Decide one request; never raises."""

    def snapshot(self) -> IssuerHealth:
        """State of the identity provider."""

    def ready(self) -> bool:
        """Whether tokens can be verified."""

    async def run(self) -> None:
        """Background work until cancelled."""

    async def aclose(self) -> None:
        """Free connections."""


class Enforced:
    """One policy in force: its gate and its way to the server. Immutable, apart from knowing who still uses it."""

    def __init__(self, config: SidecarConfig, gate: Decider, forwarder: Forwarder, fixed: Fixed) -> None:
        self.config = config
        self.gate = gate
        self.forwarder = forwarder
        self.fixed = fixed
        self._deciding = 0
        self._unused = asyncio.Event()

    async def decide(self, head: RequestHead, now: float) -> Decision:
        """Ask the gate."""
        self._deciding += 1
        self._unused.clear()
        try:
            return await self.gate.decide(head, now)
        finally:
            self._deciding -= 1
            if not self._deciding:
                self._unused.set()

    async def run(self) -> None:
        """Keep keys and metadata fresh."""
        await self.gate.run()

    async def aclose(self) -> None:
        """Close the gate once the last decision that began under it is made."""
        while self._deciding:
            await self._unused.wait()
        await self.gate.aclose()

    def order(self, head: RequestHead, decision: Forward, request_id: bytes) -> Order:
        """Compose what goes to the server. Raises UnsupportedRequest."""
        received = list(head.headers)
        principal = decision.principal
        headers = request_headers(
            received,
            self.fixed,
            peer=head.peer,
            is_identity=lambda name: is_identity_header(name, self.config),
            added=[(b"x-request-id", request_id), *(principal.headers if principal is not None else ())],
        )
        return Order(
            method=head.method.encode("ascii"),
            path=decision.target,
            query=head.query,
            headers=headers,
            length=request_length(received),
            has_length=any(name == b"content-length" for name, _ in received),
            response_headers=list(decision.response_headers),
        )


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
