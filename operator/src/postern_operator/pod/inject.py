"""A pod in, the protected pod or a refusal out: this module is the pod webhook's decision (INJECTION 4.3)."""

import copy
import json
from typing import Any

from postern_operator import names
from postern_operator.pod.binding import asks_for_injection, named_policy, resolve
from postern_operator.pod.capture import Guard, guard
from postern_operator.pod.container import (
    Parts,
    capture_container,
    is_our_volume,
    is_ours,
    sidecar_container,
    volume,
)
from postern_operator.pod.decision import Injected, Refused
from postern_operator.pod.probes import Originals, exec_warnings, originals_of, rewrite
from postern_operator.pod.refusals import refusal
from postern_operator.pod.shape import shape_of
from postern_operator.policy.stored import Policy
from postern_operator.settings import Settings

__all__ = ["inject", "unprotectable"]

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
_LISTED_PORTS = 4
"""Ports named in a warning; warnings over 256 characters are cut."""


def inject(
    pod: dict[str, Any], policy: dict[str, Any] | None, settings: Settings, *, namespace: dict[str, Any]
) -> Injected | Refused:
    """Decide about a pod; the input is never changed, and ``inject(inject(p)) == inject(p)``.

    ``policy``: the McpAuthPolicy that the pod's annotation names, None when there is none such. ``namespace``: the
    Namespace object the pod is created in (name and labels are read). A pod without the label comes back untouched.
    """
    asked = asks_for_injection(pod.get("metadata") or {})
    if isinstance(asked, Refused):
        return asked
    if not asked:
        return Injected(pod)
    name = named_policy(pod["metadata"])
    found = name if isinstance(name, Refused) else resolve(name, policy, namespace)
    if isinstance(found, Refused):
        return found
    plain, before = _without_ours(pod)
    return refusal(plain, namespace) or _protect(plain, found, settings, before)


def unprotectable(pod: dict[str, Any], namespace: dict[str, Any]) -> Refused | None:
    """Give the refusal that this pod meets under whatever policy; None: it depends on the policy."""
    return refusal(_without_ours(pod)[0], namespace)


def _without_ours(pod: dict[str, Any]) -> tuple[dict[str, Any], Originals]:
    """Give a copy without the containers of an earlier injection, and the probes that it had turned.

    Our volume stays in its place, emptied of its content, so that the order of the list never changes.
    """
    plain = copy.deepcopy(pod)
    spec = plain["spec"]
    inits = spec.get("initContainers") or []
    sidecar: dict[str, Any] = next((c for c in inits if is_ours(c) and c["name"] == names.SIDECAR_CONTAINER), {})
    if any(is_ours(c) for c in inits):
        spec["initContainers"] = [c for c in inits if not is_ours(c)]
    return plain, originals_of(sidecar.get("env") or [])


def _protect(pod: dict[str, Any], policy: Policy, settings: Settings, before: Originals) -> Injected | Refused:
    """Put our parts into a pod that has none, in place."""
    guarded = guard(pod, policy)
    if isinstance(guarded, Refused):
        return guarded
    warnings = _warnings(pod, policy, guarded)
    originals = rewrite(pod, guarded, before)
    if isinstance(originals, Refused):
        return originals
    spec = pod["spec"]
    parts = Parts(policy, settings, guarded, originals, spec.get("terminationGracePeriodSeconds"))
    spec["initContainers"] = [capture_container(parts), sidecar_container(parts), *(spec.get("initContainers") or [])]
    _put_volume(spec, volume(policy))
    annotations = pod["metadata"].get("annotations") or {}
    pod["metadata"]["annotations"] = annotations
    annotations.setdefault(_DEFAULT_CONTAINER, spec["containers"][0]["name"])
    told = {"shape": shape_of(policy, settings), "policyUID": policy.uid}
    annotations[names.INJECTED_ANNOTATION] = json.dumps(told, separators=(",", ":"))
    return Injected(pod, warnings)


def _put_volume(spec: dict[str, Any], ours: dict[str, Any]) -> None:
    volumes = spec.get("volumes") or []
    there = any(is_our_volume(v) for v in volumes)
    spec["volumes"] = [ours if is_our_volume(v) else v for v in volumes] if there else [*volumes, ours]


def _warnings(pod: dict[str, Any], policy: Policy, guarded: Guard) -> tuple[str, ...]:
    closed = guarded.closed(pod)
    if not closed:
        return tuple(exec_warnings(pod, guarded))
    more = f" and {len(closed) - _LISTED_PORTS} more" if len(closed) > _LISTED_PORTS else ""
    return (
        f"ports {', '.join(closed[:_LISTED_PORTS])}{more} will not be reachable from outside: add them to "
        f"spec.server.exemptPorts of {policy}",
        *exec_warnings(pod, guarded),
    )
