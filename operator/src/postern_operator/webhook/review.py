"""An admission request in, an admission response out: this module is the webhook's whole decision, without I/O."""

import base64
from typing import Any

import msgspec

from postern_operator.pod.binding import asks_for_injection, named_policy
from postern_operator.pod.decision import Injected, Refused, Stamped
from postern_operator.pod.inject import inject
from postern_operator.pod.workload import names_policy, stamp
from postern_operator.settings import Settings
from postern_operator.webhook.json_patch import difference

__all__ = ["policy_key", "review"]

_WORKLOADS = ("deployments", "statefulsets", "daemonsets")
_MAX_WARNING = 256
"""Characters; longer warnings may be cut by the API server, or make it drop others."""


def policy_key(request: dict[str, Any]) -> tuple[str, str] | None:
    """Give (namespace, name) of the policy that ``review`` needs to decide; None: it decides without one.

    ``request`` is the ``request`` member of an AdmissionReview. The namespace is the request's, never the object's.
    Raises ValueError as ``review`` does.
    """
    if not _is_judged(request):
        return None
    holder = request["object"]
    metadata = holder.get("metadata") or {}
    asks = names_policy(holder) if _is_workload(request) else asks_for_injection(metadata) is True
    name = named_policy(metadata) if asks else None
    return (request["namespace"], name) if isinstance(name, str) else None


def review(
    request: dict[str, Any], policy: dict[str, Any] | None, namespace: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    """Give the ``response`` member of the AdmissionReview: uid, allowed, and patch, warnings or status.

    ``policy``: the object of ``policy_key``, None when it does not exist. ``namespace``: the Namespace object. A
    refusal has status.reason (a member of pod.decision.Reason) and status.message. Raises ValueError for a resource
    that this webhook is not made for.
    """
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    if not _is_judged(request):
        return response
    before = request["object"]
    outcome = _decide(request, policy, _named(namespace, request["namespace"]), settings)
    match outcome:
        case Refused(reason, message):
            status = {"code": 403, "reason": reason.value, "message": f"{reason.value}: {message}"}
            return {**response, "allowed": False, "status": status}
        case Injected(after, warnings) | Stamped(after, warnings):
            return {**response, **_patch(before, after), **_warnings(warnings)}


def _is_workload(request: dict[str, Any]) -> bool:
    return request["resource"].get("group") == "apps" and request["resource"]["resource"] in _WORKLOADS


def _is_judged(request: dict[str, Any]) -> bool:
    """Tell whether this request creates or changes what we answer for. Dry runs are judged like any other."""
    if _is_workload(request):
        operations: tuple[str, ...] = ("CREATE", "UPDATE")
    elif request["resource"].get("group", "") == "" and request["resource"]["resource"] == "pods":
        operations = ("CREATE",)  # A running pod cannot get a sidecar; its other updates are not our business.
    else:
        raise ValueError(f"not made for {request['resource']}: correct the rules of the webhook configuration")
    return request["operation"] in operations and not request.get("subResource")


def _named(namespace: dict[str, Any], name: str) -> dict[str, Any]:
    """Give the namespace with the name of the request, which alone is sure to be right."""
    return {**namespace, "metadata": {**(namespace.get("metadata") or {}), "name": name}}


def _decide(
    request: dict[str, Any], policy: dict[str, Any] | None, namespace: dict[str, Any], settings: Settings
) -> Injected | Stamped | Refused:
    if not _is_workload(request):
        return inject(request["object"], policy, settings, namespace=namespace)
    user = (request.get("userInfo") or {}).get("username") or ""
    return stamp(request["object"], request.get("oldObject"), policy, settings, namespace=namespace, user=user)


def _patch(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    operations = difference(before, after)
    if not operations:
        return {}
    return {"patchType": "JSONPatch", "patch": base64.b64encode(msgspec.json.encode(operations)).decode()}


def _warnings(warnings: tuple[str, ...]) -> dict[str, Any]:
    cut = [w if len(w) <= _MAX_WARNING else f"{w[: _MAX_WARNING - 1]}…" for w in warnings]
    return {"warnings": cut} if cut else {}
