"""One request to the API server, bounded in time: this module is where foreign errors become ours."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
from kubernetes.aio.client import ApiClient, Configuration

from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict

__all__ = ["APPLY", "JSON", "MERGE", "STRATEGIC", "Call", "NotFound", "Observer", "Transport"]

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

Observer = Callable[[str, str, float], None]
"""Told of each call: HTTP method, status code ('error' without an answer), seconds."""


class NotFound(ClusterError):
    """Raised when the object does not exist (404)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. A path's variable parts are already checked."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    timeout_s: float = 10.0
    """Bound for the whole call, connecting and reading included."""


class Transport:
    """A connection pool to one API server."""

    def __init__(self, configuration: Configuration, observe: Observer) -> None:
        self._client = ApiClient(configuration)
        self._observe = observe

    async def request(self, call: Call) -> dict[str, Any]:
        """Give the answer's JSON object.

        Raises NotFound, Conflict or another ClusterError for a refusal, ClusterUnavailable when there was no answer
        or one that a retry may cure (401 while a token rotates, 410 for a list that expired, 429, 5xx).
        """
        began = time.monotonic()
        outcome = "error"
        try:
            async with asyncio.timeout(call.timeout_s):
                status, data = await self._send(call)
            outcome = str(status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise ClusterUnavailable(f"{call.method} {call.path}: no answer of the API server: {reason}") from error
        finally:
            self._observe(call.method, outcome, time.monotonic() - began)
        if status >= 300:
            raise _refusal(call, status, data)
        return _object(call, data)

    async def _send(self, call: Call) -> tuple[int, bytes]:
        method, url, headers, body, _ = await self._client.param_serialize(
            call.method,
            call.path,
            query_params=list(call.query.items()),
            header_params={"Accept": JSON, "Content-Type": call.content_type},
            body=call.body,
            auth_settings=["BearerToken"],
        )
        # A scalar: the documented pair of timeouts is a TypeError in this client.
        answer = await self._client.call_api(method, url, headers, body, _request_timeout=call.timeout_s)
        return answer.status, await answer.read()

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _object(call: Call, data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ClusterUnavailable(f"{call.method} {call.path}: the answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ClusterUnavailable(f"{call.method} {call.path}: the answer is not a JSON object")
    return value


def _refusal(call: Call, status: int, data: bytes) -> ClusterError | ClusterUnavailable:
    text = f"{call.method} {call.path}: {status} {_message(data)}"
    match status:
        case 404:
            return NotFound(text)
        case 409:
            return Conflict(text)
        case 403:
            return ClusterError(f"{text}: check the operator's ClusterRole")
        case 401 | 410 | 429:
            return ClusterUnavailable(text)
        case _ if status >= 500:
            return ClusterUnavailable(text)
    return ClusterError(text)


def _message(data: bytes) -> str:
    try:
        status = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return data[:200].decode(errors="replace")
    return str(status.get("message", ""))[:1000] if isinstance(status, dict) else ""
