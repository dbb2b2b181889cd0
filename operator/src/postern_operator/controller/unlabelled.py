"""Which pods may run without protection: this module is the label selector that finds a workload's unlabelled pods."""

from typing import Any

from postern_operator import names
from postern_operator.status.tally import is_alive, selects

__all__ = ["lacks_labelled_pods", "unlabelled_selector"]

Object = dict[str, Any]


def lacks_labelled_pods(workloads: list[Object], labelled: list[Object]) -> bool:
    """Tell whether a workload has more pods than are labelled: a rollout is under way, stuck or yet to begin.

    Each is looked at by itself: pods of a Job, or such as ended, must not stand in for those that lack the label.
    """
    alive = [pod for pod in labelled if is_alive(pod)]
    return any(_pod_count(workload) > sum(selects(workload, pod) for pod in alive) for workload in workloads)


def _pod_count(workload: Object) -> int:
    status = workload.get("status") or {}
    return int(status.get("replicas") or status.get("currentNumberScheduled") or 0)


def unlabelled_selector(workload: Object) -> str:
    """Give the selector of the workload's pods that are not labelled for injection, as a query parameter has it."""
    selector = workload.get("spec", {}).get("selector") or {}
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    terms += [_term(expression) for expression in selector.get("matchExpressions") or []]
    return ",".join([*terms, f"{names.INJECT_LABEL}!={names.INJECT_VALUE}"])


def _term(expression: Object) -> str:
    key, values = expression["key"], ",".join(expression.get("values") or [])
    match expression["operator"]:
        case "Exists":
            return str(key)
        case "DoesNotExist":
            return f"!{key}"
        case "NotIn":
            return f"{key} notin ({values})"
        case _:
            return f"{key} in ({values})"
