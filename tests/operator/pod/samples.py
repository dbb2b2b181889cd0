"""A policy, its namespace and a pod, for tests that change one thing of them."""

import copy
from typing import Any

from postern_operator.pod.decision import Injected, Refused
from postern_operator.pod.inject import inject
from postern_operator.settings import Settings

__all__ = ["NAMESPACE", "SETTINGS", "injected", "make_pod", "make_policy", "make_workload", "merged", "refused"]

Object = dict[str, Any]

SETTINGS = Settings(sidecar_image="registry.example/postern-sidecar@sha256:0d15ea5e")
NAMESPACE: Object = {"metadata": {"name": "team-a", "labels": {"kubernetes.io/metadata.name": "team-a"}}}

_POLICY: Object = {
    "apiVersion": "postern.dev/v1alpha1",
    "kind": "McpAuthPolicy",
    "metadata": {"name": "weather", "namespace": "team-a", "uid": "2f4e", "generation": 3},
    "spec": {
        "resource": {"url": "https://mcp.example.com/mcp"},
        "mode": "Direct",
        "provider": {"keycloak": {"url": "https://sso.example.com", "realm": "corp"}},
    },
}
_POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "weather-1",
        "labels": {"app": "weather", "postern.dev/inject": "true"},
        "annotations": {"postern.dev/policy": "weather"},
    },
    "spec": {"containers": [{"name": "app", "image": "weather:1", "ports": [{"containerPort": 8080}]}]},
}


def merged(base: Object, change: Object) -> Object:
    """Give a deep copy with the change merged in; lists and scalars are replaced, None removes."""
    out = copy.deepcopy(base)
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        elif value is None:
            out.pop(key, None)
        else:
            out[key] = copy.deepcopy(value)
    return out


def make_policy(**spec: Any) -> Object:
    """Give the policy team-a/weather with members of its spec changed."""
    return merged(_POLICY, {"spec": spec})


def make_pod(**change: Any) -> Object:
    """Give a pod that asks for protection, with changes merged into metadata or spec."""
    return merged(_POD, change)


def make_workload(*, annotations: Object | None = None, template: Object | None = None, **change: Any) -> Object:
    """Give the Deployment team-a/weather as a user writes it; ``template`` is merged into its pod template."""
    annotated = {"postern.dev/policy": "weather"} if annotations is None else annotations
    plain = merged(_POD, {"metadata": {"name": None, "labels": {"postern.dev/inject": None}, "annotations": None}})
    base = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "weather", "namespace": "team-a", "uid": "77aa", "annotations": annotated},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "weather"}},
            "template": merged({"metadata": plain["metadata"], "spec": plain["spec"]}, template or {}),
        },
    }
    return merged(base, change)


def injected(pod: Object, policy: Object | None = None, *, namespace: Object = NAMESPACE) -> Injected:
    """Give the outcome of an injection that must succeed."""
    outcome = inject(pod, make_policy() if policy is None else policy, SETTINGS, namespace=namespace)
    assert isinstance(outcome, Injected), outcome
    return outcome


def refused(pod: Object, policy: Object | None = None, *, namespace: Object = NAMESPACE) -> Refused:
    """Give the outcome of an injection that must fail."""
    outcome = inject(pod, make_policy() if policy is None else policy, SETTINGS, namespace=namespace)
    assert isinstance(outcome, Refused), outcome
    return outcome
