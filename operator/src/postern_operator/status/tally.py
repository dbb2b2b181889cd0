"""Pods counted by what protects them: this module is that count, for each workload and for a policy."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from postern_operator import names
from postern_operator.status.report import Report

__all__ = ["MAX_LISTED", "Tally", "Wanted", "is_alive", "selects", "tallies", "total"]

MAX_LISTED = 100
"""Workloads named in a status; the counts are over all."""
Object = dict[str, Any]
Reports = Mapping[str, Report | None]
"""By pod uid; None: no answer."""


class _State(StrEnum):
    """What a running pod is."""

    UNPROTECTED = "unprotected"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    STALE = "stale"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the pods of a policy should have."""

    policy: str
    """Its name."""
    config_hash: str
    shape: str | None
    """Of the policy as it is now; None while it has faults: then that of the workload's template, if there is one."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The pods of one workload, or of all."""

    kind: str
    name: str
    desired: int = 0
    unprotected: int = 0
    """Running pods that are seen without the sidecar."""
    older: int = 0
    """Pods of a rollout under way that the workload counts but that lack the label: as good as unprotected."""
    unknown: int = 0
    degraded: int = 0
    stale: int = 0
    current: int = 0

    @property
    def injected(self) -> int:
        """Running pods with the sidecar."""
        return self.unknown + self.degraded + self.stale + self.current


def tallies(wanted: Wanted, workloads: Sequence[Object], pods: Sequence[Object], reports: Reports) -> list[Tally]:
    """Count each workload's pods, then each pod that no workload of the policy selects (Jobs, Rollouts, bare pods).

    Pods that name another policy, that ended or that are being deleted count nowhere.
    """
    left = [pod for pod in pods if is_alive(pod) and _policy_of(pod) in (wanted.policy, None)]
    counted = []
    for workload in sorted(workloads, key=lambda w: (w["kind"], w["metadata"]["name"])):
        mine = [pod for pod in left if selects(workload, pod)]
        left = [pod for pod in left if not any(pod is other for other in mine)]
        here = wanted if wanted.shape is not None else replace(wanted, shape=_shape(workload))
        counted.append(_of_workload(workload, mine, _states(mine, here, reports)))
    for pod in sorted((p for p in left if _policy_of(p) == wanted.policy), key=lambda p: str(p["metadata"]["name"])):
        states = _states([pod], wanted, reports)
        counted.append(Tally("Pod", pod["metadata"]["name"], desired=1, **_counts(states)))
    return counted


def total(counted: Iterable[Tally]) -> Tally:
    """Add up."""
    fields = ("desired", "unprotected", "older", "unknown", "degraded", "stale", "current")
    every = list(counted)
    return Tally("", "", **{field: sum(getattr(tally, field) for tally in every) for field in fields})


def _of_workload(workload: Object, pods: Sequence[Object], states: Sequence[_State]) -> Tally:
    metadata, spec, status = workload["metadata"], workload["spec"], workload.get("status") or {}
    if workload["kind"] == "DaemonSet":
        desired, present = status.get("desiredNumberScheduled", 0), status.get("currentNumberScheduled", 0)
        updated = status.get("updatedNumberScheduled", 0)
    else:
        desired, present = spec.get("replicas", 1), status.get("replicas", 0)
        updated = status.get("updatedReplicas", 0)
    counts = _counts(states)
    missing = max(0, present - len(pods))
    if not _is_stamped(workload):
        counts["unprotected"] += missing
        missing = 0
    # Once every pod is of the stamped template all are labelled, and a difference is only a list that lags behind.
    is_rolling = updated < present or status.get("observedGeneration") != metadata.get("generation")
    return Tally(workload["kind"], metadata["name"], desired=desired, older=missing if is_rolling else 0, **counts)


def _is_stamped(workload: Object) -> bool:
    metadata = workload["spec"]["template"].get("metadata") or {}
    return bool((metadata.get("labels") or {}).get(names.INJECT_LABEL) == names.INJECT_VALUE)


def _counts(states: Sequence[_State]) -> dict[str, int]:
    return {state.value: states.count(state) for state in _State}


def _states(pods: Sequence[Object], wanted: Wanted, reports: Reports) -> list[_State]:
    running = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Running" and not _is_starting(pod)]
    return [_state(pod, wanted, reports.get(pod["metadata"].get("uid", ""))) for pod in running]


def _state(pod: Object, wanted: Wanted, report: Report | None) -> _State:
    if not _has_sidecar(pod["spec"].get("initContainers")):
        return _State.UNPROTECTED
    if report is None:
        return _State.UNKNOWN
    if report.degraded or report.config_hash is None:
        return _State.DEGRADED
    has_shape = wanted.shape is None or _injected_shape(pod) == wanted.shape
    return _State.CURRENT if report.config_hash == wanted.config_hash and has_shape else _State.STALE


def _is_starting(pod: Object) -> bool:
    """Tell whether the sidecar is in the pod but the kubelet has not reported it yet."""
    seen = _has_sidecar((pod.get("status") or {}).get("initContainerStatuses"))
    return _has_sidecar(pod["spec"].get("initContainers")) and not seen


def _has_sidecar(containers: Sequence[Object] | None) -> bool:
    # Native sidecars are among the init containers, also in the status (INJECTION lesson 6).
    return any(container["name"] == names.SIDECAR_CONTAINER for container in containers or [])


def is_alive(pod: Object) -> bool:
    """Tell whether a pod runs or is about to: it has not ended and is not being deleted."""
    phase = (pod.get("status") or {}).get("phase")
    return not pod["metadata"].get("deletionTimestamp") and phase not in ("Succeeded", "Failed")


def _annotations(pod: Object) -> Object:
    return pod["metadata"].get("annotations") or {}


def _policy_of(pod: Object) -> str | None:
    return _annotations(pod).get(names.POLICY_ANNOTATION)


def _injected_shape(pod: Object) -> str | None:
    """Give the shape that the webhook gave the pod; that of its template may be newer than what it got, or absent."""
    try:
        told = json.loads(_annotations(pod).get(names.INJECTED_ANNOTATION) or "{}")
    except ValueError:
        return None
    return told.get("shape") if isinstance(told, dict) else None


def _shape(workload: Object) -> str | None:
    metadata = workload["spec"]["template"].get("metadata") or {}
    return (metadata.get("annotations") or {}).get(names.SHAPE_ANNOTATION)


def selects(workload: Object, pod: Object) -> bool:
    """Evaluate a workload's label selector; an empty one selects nothing here."""
    selector = workload["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    exact, expressions = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    fits = exact.items() <= labels.items() and all(_holds(e, labels) for e in expressions)
    return bool(exact or expressions) and fits


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
