"""What the sidecars say of themselves: this module is the bounded poll of their /status over pod addresses."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httptools
import msgspec

from postern_crds.sidecar_ports import HEALTH_PORT

__all__ = ["Sidecars", "address"]

_CONCURRENCY = 16
_TIMEOUT_S = 2.0
_BUDGET_S = 15.0
"""For all pods of one policy: hundreds that do not answer must not hold up the passes over other policies."""
_MAX_BYTES = 64 * 1024


class Sidecars:
    """Asks many sidecars at a time, but never more than a few at once over all policies."""

    def __init__(self, port: int = HEALTH_PORT, timeout_s: float = _TIMEOUT_S, *, budget_s: float = _BUDGET_S) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._budget_s = budget_s
        self._limit = asyncio.Semaphore(_CONCURRENCY)

    async def reports(self, pods: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any] | None]:
        """Give by pod uid what /status answered; None for a pod without address or a useful answer in time."""
        until = asyncio.get_running_loop().time() + self._budget_s
        async with asyncio.TaskGroup() as tasks:
            asked = {pod["metadata"]["uid"]: tasks.create_task(self._ask(address(pod), until)) for pod in pods}
        return {uid: task.result() for uid, task in asked.items()}

    async def _ask(self, host: str | None, until: float) -> dict[str, Any] | None:
        if host is None:
            return None
        try:
            async with asyncio.timeout_at(until), self._limit, asyncio.timeout(self._timeout_s):
                value = msgspec.json.decode(await _get(host, self._port))
        except (OSError, TimeoutError, httptools.HttpParserError, msgspec.DecodeError):
            return None
        return value if isinstance(value, dict) else None


def address(pod: dict[str, Any]) -> str | None:
    """Give the pod's address, IPv4 or IPv6; None while it has none or when it is not running."""
    status = pod.get("status", {})
    if status.get("phase") != "Running" or pod["metadata"].get("deletionTimestamp"):
        return None
    return status.get("podIP") or None


class _Answer:
    """Collects one HTTP answer (callbacks of httptools)."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.is_complete = False

    def on_body(self, part: bytes) -> None:
        """Add to the body."""
        self.body += part

    def on_message_complete(self) -> None:
        """Note the end."""
        self.is_complete = True


async def _get(host: str, port: int) -> bytes:
    """Give the body of GET /status. Raises OSError for another status than 200 or a body beyond all measure."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        name = f"[{host}]" if ":" in host else host
        writer.write(f"GET /status HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = _Answer()
        received = 0
        while not answer.is_complete and (part := await reader.read(_MAX_BYTES)):
            received += len(part)
            if received > _MAX_BYTES:
                raise OSError("the answer is too long")
            answer.parser.feed_data(part)
        if not answer.is_complete or answer.parser.get_status_code() != 200:
            raise OSError("no complete answer with status 200")
        return bytes(answer.body)
    finally:
        writer.close()
