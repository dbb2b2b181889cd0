"""What can go wrong between sidecar and server: this module is the closed set and what the client is told of it."""

from enum import StrEnum
from typing import NamedTuple, assert_never

from postern_sidecar.errors import SidecarError

__all__ = ["Fault", "FaultAnswer", "UnsupportedRequest", "UpstreamFailed", "fault_answer"]


class Fault(StrEnum):
    """Why the server gave no usable answer. Closed: it labels logs and metrics."""

    UNREACHABLE = "server_unreachable"
    CONNECT_TIMEOUT = "server_connect_timeout"
    CLOSED = "server_closed_connection"
    TRUNCATED = "server_response_truncated"
    MALFORMED = "server_response_malformed"
    HEAD_TOO_LARGE = "server_response_head_too_large"
    SWITCHED = "server_switched_protocols"


class FaultAnswer(NamedTuple):
    """What the client is told."""

    status: int
    text: str


class UpstreamFailed(SidecarError):
    """Raised when the server gave no answer, or an answer that cannot be passed on."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault}: {detail}" if detail else str(fault))
        self.fault = fault


class UnsupportedRequest(SidecarError):
    """Raised when a request cannot be framed safely for the server; nothing of it was sent."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def fault_answer(fault: Fault) -> FaultAnswer:
    """Give status and text for a fault; the one table."""
    match fault:
        case Fault.UNREACHABLE:
            return FaultAnswer(502, "The MCP server behind the sidecar does not accept connections.")
        case Fault.CONNECT_TIMEOUT:
            return FaultAnswer(504, "The MCP server behind the sidecar did not accept a connection in time.")
        case Fault.CLOSED:
            return FaultAnswer(502, "The MCP server closed the connection before it answered.")
        case Fault.TRUNCATED:
            return FaultAnswer(502, "The MCP server closed the connection in the middle of its answer.")
        case Fault.MALFORMED:
            return FaultAnswer(502, "The answer of the MCP server is not valid HTTP/1.1.")
        case Fault.HEAD_TOO_LARGE:
            return FaultAnswer(502, "The head of the MCP server's answer is larger than 64 KiB.")
        case Fault.SWITCHED:
            return FaultAnswer(502, "The MCP server switched protocols without being asked.")
        case _:
            assert_never(fault)
