"""Where objects live at the API server: this module is the table of paths, with every variable part checked."""

import re

from postern_crds.v1alpha1 import GROUP, PLURAL, VERSION
from postern_operator.errors import ClusterError

__all__ = ["WORKLOADS", "is_object_name", "path"]

_ROOTS = {
    "namespaces": "/api/v1",
    "pods": "/api/v1",
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "daemonsets": "/apis/apps/v1",
    "events": "/apis/events.k8s.io/v1",
    "mutatingwebhookconfigurations": "/apis/admissionregistration.k8s.io/v1",
    PLURAL: f"/apis/{GROUP}/{VERSION}",
}
WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
"""Kind to resource of everything in apps/v1 that can be protected."""

# DNS-1123 subdomain: what the API server takes as a name. It also keeps '..' and '/' out of paths.
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


def is_object_name(name: str) -> bool:
    """Tell whether an object can have this name at all."""
    return _NAME.fullmatch(name) is not None


def path(resource: str, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
    """Give the path of a resource, in all namespaces without one. Raises ClusterError for a name that cannot exist."""
    parts = [_ROOTS[resource]]
    if namespace is not None:
        parts += ["namespaces", _checked(namespace)]
    parts.append(resource)
    if name is not None:
        parts.append(_checked(name))
    if subresource:
        parts.append(subresource)
    return "/".join(parts)


def _checked(name: str) -> str:
    if not is_object_name(name):
        raise ClusterError(f"{name!r} cannot be the name of an object")
    return name
