"""What the gate can say: this module is the three forms of a decision."""

from dataclasses import dataclass

from postern_sidecar.facade_endpoints import FacadeEndpoint
from postern_sidecar.outcome import Outcome, Principal, Reason, verdict

__all__ = ["Answer", "Decision", "FacadeCall", "Forward", "Headers", "outcome_of"]

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """The sidecar answers itself; sent as it is. For HEAD the sender leaves the body out."""

    status: int
    headers: Headers
    """Complete, Content-Length included; names in lower case."""
    body: bytes
    reason: Reason | None
    principal: Principal | None = None
    """Who asked, when a valid token was not enough; for the audit line."""


@dataclass(frozen=True, slots=True)
class Forward:
    """The request goes to the server."""

    target: bytes
    """Path on the server; the sender appends '?' and the query."""
    principal: Principal | None
    """None on public paths."""
    response_headers: Headers
    """To put on the server's response in place of same-named ones (CORS)."""


@dataclass(frozen=True, slots=True)
class FacadeCall:
    """The request is for an endpoint of our authorization server, which checks Origin itself where cookies count."""

    endpoint: FacadeEndpoint


Decision = Answer | FacadeCall | Forward


def outcome_of(decision: Decision) -> Outcome:
    """Give the kind of a decision."""
    if isinstance(decision, FacadeCall):
        return Outcome.FACADE
    if isinstance(decision, Forward):
        return Outcome.PUBLIC if decision.principal is None else Outcome.FORWARDED
    return Outcome.ANSWERED if decision.reason is None else verdict(decision.reason).outcome
