"""Conditions in the form of the Kubernetes API: this module is their shape, their dates, and problems others report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Condition", "Problem", "dated", "from_problem"]

Status = Literal["True", "False", "Unknown"]
_MAX_TOLD = 10
"""Problems of one condition that are written out: with one for each of hundreds of workloads no status would fit."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that went wrong outside of the pure core, to be told in a condition."""

    condition: Literal["Accepted", "ResolvedRefs", "Programmed"]
    reason: str
    """CamelCase, such as CABundleNotFound."""
    message: str
    """What is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One statement about a policy."""

    type: str
    status: Status
    reason: str
    """CamelCase."""
    message: str


def from_problem(kind: str, problems: Sequence[Problem]) -> Condition | None:
    """Give the False condition of this type that the problems make; None when none concerns it."""
    mine = [problem for problem in problems if problem.condition == kind]
    if not mine:
        return None
    more = f" (and {len(mine) - _MAX_TOLD} more)" if len(mine) > _MAX_TOLD else ""
    told = "; ".join(problem.message for problem in mine[:_MAX_TOLD])
    return Condition(kind, "False", mine[0].reason, f"{told}{more}")


def dated(
    conditions: Sequence[Condition], previous: Sequence[dict[str, Any]], *, generation: int, now: str
) -> list[dict[str, Any]]:
    """Give the conditions as JSON. lastTransitionTime is carried over unless the status flipped."""
    before = {condition["type"]: condition for condition in previous}
    return [
        {
            "type": condition.type,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "lastTransitionTime": _since(condition, before.get(condition.type), now),
            "observedGeneration": generation,
        }
        for condition in conditions
    ]


def _since(condition: Condition, before: dict[str, Any] | None, now: str) -> str:
    if before is None or before.get("status") != condition.status:
        return now
    return str(before.get("lastTransitionTime") or now)
