"""What changed between two statuses becomes Events: this module is that list."""

from dataclasses import dataclass
from typing import Any, Literal

from postern_operator.status.tally import MAX_LISTED

__all__ = ["Event", "transitions"]

_BARE = "Pod"
"""Kind of pods without a workload; they come and go by themselves (Jobs)."""


@dataclass(frozen=True, slots=True)
class Event:
    """An Event on the policy."""

    type: Literal["Normal", "Warning"]
    reason: str
    """CamelCase."""
    message: str


def transitions(old: dict[str, Any], new: dict[str, Any]) -> list[Event]:
    """List the Events that the step from one status to the next is worth; ``old`` is empty for a new policy."""
    before = {condition["type"]: condition for condition in old.get("conditions") or []}
    events = [
        event
        for condition in new.get("conditions") or []
        if (event := _event(condition, before.get(condition["type"]))) is not None
    ]
    return events + [_left(workload) for workload in _leavers(old, new)]


def _event(condition: dict[str, Any], before: dict[str, Any] | None) -> Event | None:
    """Give the Event of one condition; None when it says what it said, or nothing that people should be told."""
    status, reason, message = condition["status"], condition["reason"], condition["message"]
    was = None if before is None else before["status"]
    if before is not None and (was, before["reason"]) == (status, reason):
        return None
    match condition["type"], status:
        case "Accepted" | "ResolvedRefs" | "Programmed", "False":
            return Event("Warning", reason, message)
        case ("Accepted", "True"):
            return Event("Normal", "PolicyAccepted", message)
        case ("ResolvedRefs" | "Programmed" | "IssuerReachable", "True") if was == "False":
            return Event("Normal", reason, message)
        case ("Enforced", "False") if reason in ("UnprotectedPods", "SidecarsDegraded"):
            return Event("Warning", reason, message)
        case ("Enforced", "True"):
            return Event("Normal", reason, message)
        case ("IssuerReachable", "False"):
            return Event("Warning", reason, message)
        case ("AudienceUnchecked", "True"):
            return Event("Warning", "AudienceUnchecked", message)
        case _:
            return None


def _leavers(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """List the workloads that are no longer there. Those that only fell off the end of a full list are not told."""
    now = [(w["kind"], w["name"]) for w in new.get("workloads") or []]
    last = now[-1] if len(now) >= MAX_LISTED else None
    return [
        workload
        for workload in old.get("workloads") or []
        if (key := (workload["kind"], workload["name"])) not in now
        and workload["kind"] != _BARE
        and (last is None or key < last)
    ]


def _left(workload: dict[str, Any]) -> Event:
    return Event(
        "Warning",
        "Unprotected",
        f"{workload['kind']} {workload['name']} was deleted or no longer names this policy: its new pods run without "
        "protection",
    )
