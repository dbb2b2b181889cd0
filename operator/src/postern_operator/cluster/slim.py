"""What is kept of listed objects: this module is the reason why thousands of them fit into the controller's memory."""

from collections.abc import Iterable
from typing import Any

from postern_crds.v1alpha1 import GROUP, KIND, VERSION

__all__ = ["slim_config_map", "slim_pod", "slim_policy", "slim_workload"]

Object = dict[str, Any]
_METADATA = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "ownerReferences",
)
_CONTAINER = ("name", "image", "restartPolicy", "ports", "securityContext")


def _pick(value: Object, names: Iterable[str]) -> Object:
    return {name: value[name] for name in names if name in value}


def _metadata(value: Object) -> Object:
    annotations = {k: v for k, v in (value.get("annotations") or {}).items() if k.startswith(f"{GROUP}/")}
    return _pick(value, _METADATA) | {"annotations": annotations}


def slim_policy(policy: Object) -> Object:
    """Give the policy without field ownership and foreign annotations."""
    head = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND}
    return head | policy | {"metadata": _metadata(policy["metadata"])}


def slim_config_map(config_map: Object) -> Object:
    """Give the ConfigMap without field ownership."""
    return _pick(config_map, ("data",)) | {"metadata": _metadata(config_map["metadata"])}


def slim_pod(pod: Object) -> Object:
    """Give the pod with containers cut to what says whether it is protected, and its whole status."""
    spec = pod.get("spec", {})
    kept = _pick(spec, ("nodeName", "hostNetwork"))
    for name in ("initContainers", "containers"):
        kept[name] = [_pick(container, _CONTAINER) for container in spec.get(name) or []]
    return _pick(pod, ("apiVersion", "kind", "status")) | {"metadata": _metadata(pod["metadata"]), "spec": kept}


def slim_workload(workload: Object) -> Object:
    """Give the workload without the pods' specification: stamping and counting read only the template's metadata."""
    spec = workload.get("spec", {})
    template = {"metadata": _metadata(spec.get("template", {}).get("metadata") or {})}
    kept = _pick(spec, ("replicas", "selector", "paused")) | {"template": template}
    return _pick(workload, ("apiVersion", "kind", "status")) | {
        "metadata": _metadata(workload["metadata"]),
        "spec": kept,
    }
