"""Admission over HTTP: this module is the shell around ``review``, from an AdmissionReview's bytes to its answer."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from postern_operator import names
from postern_operator.errors import PosternError
from postern_operator.metrics import Metrics
from postern_operator.settings import Settings
from postern_operator.webhook.namespaces import Namespaces
from postern_operator.webhook.review import policy_key, review
from postern_operator.webhook.shared_reads import SharedReads

__all__ = ["Admission", "PolicyReader", "create_app"]

Object = dict[str, Any]
_LOG = structlog.stdlib.get_logger("postern.webhook")
_API_VERSION = "admission.k8s.io/v1"
_MAX_BODY_BYTES = 8 * 1024 * 1024
"""Above what the API server can send: objects of 3 MiB at most, the old and the new one."""
_MAX_IN_FLIGHT = 128
"""Beyond this an answer would come too late anyway; refusing at once lets the caller retry."""
_READ_TIMEOUT_S = 1.0
"""For one read. An admission waits for two at most (SharedReads): with the body's time within the webhook's 5 s."""
_BODY_TIMEOUT_S = 3.0
"""For a whole body: anybody in the cluster can connect, and bodies that never end would take every place in flight."""


class PolicyReader(Protocol):
    """The two reads that a decision needs (cluster.Cluster)."""

    async def get_policy(self, namespace: str, name: str, *, timeout_s: float) -> Object | None:
        """Give a policy; None when it does not exist. Decisions share it and leave it unchanged."""

    async def get_namespace(self, name: str, *, timeout_s: float) -> Object | None:
        """Give a Namespace; None when it does not exist."""


class _Malformed(Exception):
    """Raised when a request is not an AdmissionReview that we understand."""


class _TooLarge(Exception):
    """Raised when a body is longer than any AdmissionReview."""


class _TooSlow(Exception):
    """Raised when a body did not come in time."""


@dataclass(slots=True)
class Admission:
    """Decides admission requests. What cannot be decided gets a 4xx or 5xx: failurePolicy Fail then refuses."""

    reader: PolicyReader
    settings: Settings
    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    max_in_flight: int = _MAX_IN_FLIGHT
    body_timeout_s: float = _BODY_TIMEOUT_S
    _in_flight: int = 0
    _policies: SharedReads[tuple[str, str], Object | None] = field(init=False)
    _namespaces: Namespaces = field(init=False)

    def __post_init__(self) -> None:
        self._policies = SharedReads(self._read_policy)
        self._namespaces = Namespaces(self._read_namespace, self.clock)

    async def _read_policy(self, key: tuple[str, str]) -> Object | None:
        return await self.reader.get_policy(*key, timeout_s=_READ_TIMEOUT_S)

    async def _read_namespace(self, name: str) -> Object | None:
        return await self.reader.get_namespace(name, timeout_s=_READ_TIMEOUT_S)

    async def answer(self, path: str, request: Request) -> Response:
        """Answer one request and count it under the path's name."""
        began = self.clock()
        outcome, response = await self._limited(request)
        self.metrics.admissions.labels(path, outcome).inc()
        self.metrics.admission_seconds.labels(path).observe(self.clock() - began)
        return response

    async def _limited(self, request: Request) -> tuple[str, Response]:
        if self._in_flight >= self.max_in_flight:
            return "overloaded", PlainTextResponse("too many requests at once", 503, {"Retry-After": "1"})
        self._in_flight += 1
        self.metrics.admissions_in_flight.set(self._in_flight)
        try:
            return await self._guarded(request)
        finally:
            self._in_flight -= 1
            self.metrics.admissions_in_flight.set(self._in_flight)

    async def _guarded(self, request: Request) -> tuple[str, Response]:
        try:
            asked = _parse(await _body(request, self.body_timeout_s))
            decided = await self._decide(asked)
        except _TooLarge as error:
            return "malformed", PlainTextResponse(str(error), 413)
        except _TooSlow as error:
            return "malformed", PlainTextResponse(str(error), 408, {"Connection": "close"})
        except (_Malformed, ClientDisconnect) as error:
            return "malformed", PlainTextResponse(str(error), 400)
        except PosternError as error:
            _LOG.warning("cannot decide", error=str(error))
            return "unavailable", PlainTextResponse(str(error), 500)
        except Exception:  # noqa: BLE001 - the gate's last line: no answer at all, so that failurePolicy refuses
            _LOG.exception("cannot decide")
            return "error", PlainTextResponse("internal error", 500)
        outcome = "allowed" if decided["allowed"] else "denied"
        answer = {"apiVersion": _API_VERSION, "kind": "AdmissionReview", "response": decided}
        return outcome, Response(msgspec.json.encode(answer), media_type="application/json")

    async def _decide(self, asked: Object) -> Object:
        key = policy_key(asked)
        policy, namespace = None, {"metadata": {"name": asked.get("namespace", "")}}
        if key is not None:
            found, home = await asyncio.gather(self._policies.get(key), self._namespaces.get(key[0]))
            policy, namespace = found, home or namespace
        return review(asked, policy, namespace, self.settings)


def create_app(admission: Admission) -> Starlette:
    """Make the application: two fixed paths, everything else 404."""

    async def pods(request: Request) -> Response:
        return await admission.answer("pods", request)

    async def workloads(request: Request) -> Response:
        return await admission.answer("workloads", request)

    return Starlette(
        routes=[
            Route(names.POD_WEBHOOK_PATH, pods, methods=["POST"]),
            Route(names.WORKLOAD_WEBHOOK_PATH, workloads, methods=["POST"]),
        ]
    )


async def _body(request: Request, timeout_s: float) -> bytes:
    parts: list[bytes] = []
    length = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                length += len(part)
                if length > _MAX_BODY_BYTES:
                    raise _TooLarge(f"the body is longer than {_MAX_BODY_BYTES} bytes")
                parts.append(part)
    except TimeoutError as error:
        raise _TooSlow(f"the body did not come within {timeout_s} s") from error
    return b"".join(parts)


def _parse(body: bytes) -> Object:
    """Give the ``request`` member. Raises _Malformed."""
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise _Malformed(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != "AdmissionReview":
        raise _Malformed("the body is not an AdmissionReview")
    if document.get("apiVersion") != _API_VERSION:
        raise _Malformed(f"apiVersion must be {_API_VERSION}, not {document.get('apiVersion')!r}")
    asked = document.get("request")
    if not isinstance(asked, dict) or not isinstance(asked.get("uid"), str) or not asked["uid"]:
        raise _Malformed("the AdmissionReview has no request with a uid")
    return asked
