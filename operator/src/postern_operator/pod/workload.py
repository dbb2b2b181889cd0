"""A Deployment, StatefulSet or DaemonSet gets our keys on its template: this module is the stamp (INJECTION 4.8)."""

import copy
from typing import Any

from postern_operator import names
from postern_operator.pod.binding import asks_for_injection, named_policy, resolve
from postern_operator.pod.decision import Injected, Reason, Refused, Stamped
from postern_operator.pod.inject import inject, unprotectable
from postern_operator.pod.shape import shape_of
from postern_operator.policy.stored import parse
from postern_operator.settings import Settings

__all__ = ["names_policy", "shape", "stamp", "template_patch", "template_pod"]

_OUR_ANNOTATIONS = (names.POLICY_ANNOTATION, names.SHAPE_ANNOTATION)


def stamp(  # noqa: PLR0913 - the admission request has these six parts
    workload: dict[str, Any],
    old: dict[str, Any] | None,
    policy: dict[str, Any] | None,
    settings: Settings,
    *,
    namespace: dict[str, Any],
    user: str,
) -> Stamped | Refused:
    """Decide about a workload that is created (``old`` None) or updated by ``user``; the inputs are never changed.

    ``policy``: the McpAuthPolicy that the annotation names, None when there is none such (yet). Whatever a pod of the
    template would be refused for is refused here already; a missing policy alone is accepted with a warning.
    """
    if not names_policy(workload):
        return _unstamp(workload) if old is not None and names_policy(old) else Stamped(workload)
    if workload["metadata"].get("deletionTimestamp"):
        return Stamped(workload)
    name = named_policy(workload["metadata"])
    if isinstance(name, Refused):
        return name
    refused = _selector_refusal(workload) or _label_refusal(workload)
    if refused is not None:
        return refused
    stamped = copy.deepcopy(workload)
    writer_decides = user == settings.service_account
    value = _template_keys(workload)[1].get(names.SHAPE_ANNOTATION) if writer_decides else None
    _write(stamped, name, value or _shape_to_keep(old, name) or _first_shape(old, name, policy, settings))
    if old is not None and names_policy(old) and old["spec"]["template"] == stamped["spec"]["template"]:
        return Stamped(stamped)  # Nothing of the pods changes: an update such as scaling must never fail for our sake.
    return _tested(stamped, policy, settings, namespace)


def shape(policy: dict[str, Any], settings: Settings) -> str:
    """Give the hash over everything that a running pod cannot take over: image, ports, mode, uid, resources, volumes.

    Raises msgspec.ValidationError (a ValueError) for a policy with faults.
    """
    return shape_of(parse(policy), settings)


def template_patch(workload: dict[str, Any], policy: dict[str, Any], settings: Settings) -> dict[str, Any] | None:
    """Give the server-side-apply body that brings a workload's template to the current stamp; None: nothing to do.

    ``workload`` has its ``kind`` (items of a list do not by themselves). The body has our template keys alone, so that
    nobody else's field changes hands, and the uid, so that a re-created object is left alone.
    """
    metadata = workload["metadata"]
    name = (metadata.get("annotations") or {}).get(names.POLICY_ANNOTATION)
    if name != policy["metadata"]["name"] or metadata.get("deletionTimestamp"):
        return None
    labels = {names.INJECT_LABEL: names.INJECT_VALUE}
    annotations = {names.POLICY_ANNOTATION: name, names.SHAPE_ANNOTATION: shape(policy, settings)}
    has_labels, has_annotations = _template_keys(workload)
    if labels.items() <= has_labels.items() and annotations.items() <= has_annotations.items():
        return None
    return {
        "apiVersion": "apps/v1",
        "kind": workload["kind"],
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        "spec": {"template": {"metadata": {"labels": labels, "annotations": annotations}}},
    }


def names_policy(workload: dict[str, Any]) -> bool:
    """Tell whether a workload has the annotation, with whatever value."""
    return names.POLICY_ANNOTATION in ((workload.get("metadata") or {}).get("annotations") or {})


def template_pod(workload: dict[str, Any]) -> dict[str, Any]:
    """Give a pod as the workload's controller would create it, without a name."""
    template = copy.deepcopy(workload["spec"]["template"])
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if v is not None}
    if namespace := workload["metadata"].get("namespace"):
        metadata["namespace"] = namespace
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def _template_keys(workload: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    metadata = workload["spec"]["template"].get("metadata") or {}
    return metadata.get("labels") or {}, metadata.get("annotations") or {}


def _selector_refusal(workload: dict[str, Any]) -> Refused | None:
    selector = workload["spec"].get("selector") or {}
    keys = {*(selector.get("matchLabels") or {}), *(e.get("key") for e in selector.get("matchExpressions") or [])}
    if names.INJECT_LABEL not in keys:
        return None
    return Refused(
        Reason.LABEL_IN_SELECTOR,
        f"spec.selector names the label {names.INJECT_LABEL}: a selector cannot be changed later, so protection could "
        "never be removed; take it out of spec.selector",
    )


def _label_refusal(workload: dict[str, Any]) -> Refused | None:
    asked = asks_for_injection(workload["spec"]["template"].get("metadata") or {})
    return Refused(asked.reason, f"spec.template.{asked.message}") if isinstance(asked, Refused) else None


def _is_stamped_for(old: dict[str, Any] | None, name: str) -> bool:
    if old is None:
        return False
    labels, annotations = _template_keys(old)
    return labels.get(names.INJECT_LABEL) == names.INJECT_VALUE and annotations.get(names.POLICY_ANNOTATION) == name


def _shape_to_keep(old: dict[str, Any] | None, name: str) -> str | None:
    """Give the shape of the old template: only the controller raises it, or each apply would roll the fleet at once."""
    if old is None or not _is_stamped_for(old, name):
        return None
    return _template_keys(old)[1].get(names.SHAPE_ANNOTATION)


def _first_shape(
    old: dict[str, Any] | None, name: str, policy: dict[str, Any] | None, settings: Settings
) -> str | None:
    """Give the current shape at the first stamp: that is a rollout anyway, and the controller needs no second one."""
    if _is_stamped_for(old, name):
        return None
    found = resolve(name, policy, {})
    return None if isinstance(found, Refused) else shape_of(found, settings)


def _write(workload: dict[str, Any], name: str, value: str | None) -> None:
    template = workload["spec"]["template"]
    metadata = template["metadata"] = template.get("metadata") or {}
    metadata["labels"] = {**(metadata.get("labels") or {}), names.INJECT_LABEL: names.INJECT_VALUE}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != names.SHAPE_ANNOTATION}
    annotations[names.POLICY_ANNOTATION] = name
    if value is not None:
        annotations[names.SHAPE_ANNOTATION] = value
    metadata["annotations"] = annotations


def _tested(
    stamped: dict[str, Any], policy: dict[str, Any] | None, settings: Settings, namespace: dict[str, Any]
) -> Stamped | Refused:
    """Inject a pod of the template for trial: here a user sees the refusal, at the pod only the controllers would."""
    pod = template_pod(stamped)
    if policy is None:
        name = pod["metadata"]["annotations"][names.POLICY_ANNOTATION]
        here = (namespace.get("metadata") or {}).get("name") or ""
        warning = f"McpAuthPolicy {name} does not exist in namespace {here} yet: its pods will be refused until it does"
        outcome = unprotectable(pod, namespace) or Injected(pod, (warning,))
    else:
        outcome = inject(pod, policy, settings, namespace=namespace)
    match outcome:
        case Refused(reason, message):
            return Refused(reason, f"in spec.template: {message}")
        case Injected(_, warnings):
            return Stamped(stamped, warnings)


def _unstamp(workload: dict[str, Any]) -> Stamped:
    """Take our keys off the template: who removes the annotation wants the pods unprotected, and is told so."""
    plain = copy.deepcopy(workload)
    metadata = plain["spec"]["template"].get("metadata") or {}
    for field, keys in (("labels", (names.INJECT_LABEL,)), ("annotations", _OUR_ANNOTATIONS)):
        if metadata.get(field):
            metadata[field] = {k: v for k, v in metadata[field].items() if k not in keys}
    warning = (
        f"metadata.annotations[{names.POLICY_ANNOTATION}] was removed: new pods of {workload['metadata']['name']} run "
        "without protection, and everybody can reach the MCP server"
    )
    return Stamped(plain, (warning,))
