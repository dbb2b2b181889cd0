"""Who asked for what, and what was decided: this module is the audit line."""

from postern_sidecar.gate.decision import Answer, Forward, outcome_of
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.logs import get_logger

__all__ = ["record"]

_MAX_PATH = 512
"""Characters of a path that are written; anybody may send 64 KiB of them without a token."""


def record(head: RequestHead, decision: Answer | Forward, *, request_id: str, latency_s: float, enabled: bool) -> None:
    """Write one line for a decision, unless it is not enabled.

    Never a token, a query (it may hold one) or a claim besides issuer, subject and client.
    """
    if not enabled:
        return
    principal = decision.principal
    answer = decision if isinstance(decision, Answer) else None
    get_logger("postern.audit").info(
        "decision",
        outcome=outcome_of(decision).value,
        reason=answer.reason.value if answer is not None and answer.reason is not None else None,
        status=answer.status if answer is not None else None,
        issuer=principal.issuer if principal is not None else None,
        subject=principal.subject if principal is not None else None,
        client=principal.client_id if principal is not None else None,
        method=head.method,
        path=head.raw_path[:_MAX_PATH].decode("ascii", "backslashreplace"),
        peer=head.peer,
        request_id=request_id,
        latency_s=round(latency_s, 6),
    )
