"""Workloads, pods and sidecar reports as the controller sees them, for tests of the status."""

from typing import Any

from postern_crds.sidecar_config import SidecarConfig
from postern_operator.policy.render import render
from tests.operator.pod.samples import SETTINGS, make_policy, merged

__all__ = ["CONFIG", "NOW", "POLICY", "make_pod", "make_report", "make_workload"]

Object = dict[str, Any]

NOW = "2026-02-03T04:05:06Z"
POLICY: Object = make_policy()
CONFIG: SidecarConfig = render(POLICY)
_STAMP = {"postern.dev/policy": "weather", "postern.dev/shape": "shape-1"}
_INJECTED = {**_STAMP, "postern.dev/injected": '{"shape":"shape-1","policyUID":"2f4e"}'}
_LABELS = {"app": "weather", "postern.dev/inject": "true"}


def make_workload(name: str = "weather", *, desired: int = 1, **change: Any) -> Object:
    """Give a stamped Deployment whose rollout is complete; it selects pods by ``app: <name>``."""
    labels = {**_LABELS, "app": name}
    base = {
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "generation": 2,
            "annotations": {"postern.dev/policy": "weather"},
        },
        "spec": {
            "replicas": desired,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels, "annotations": dict(_STAMP)}},
        },
        "status": {"observedGeneration": 2, "replicas": desired, "updatedReplicas": desired},
    }
    return merged(base, change)


def make_pod(uid: str, **change: Any) -> Object:
    """Give a running pod with the sidecar, selected by the Deployment ``weather``."""
    base = {
        "metadata": {"name": f"weather-{uid}", "uid": uid, "labels": dict(_LABELS), "annotations": dict(_INJECTED)},
        "spec": {"initContainers": [{"name": "postern-net"}, {"name": "postern", "image": SETTINGS.sidecar_image}]},
        "status": {
            "phase": "Running",
            "initContainerStatuses": [{"name": "postern-net"}, {"name": "postern", "ready": True}],
        },
    }
    return merged(base, change)


def make_report(**change: Any) -> Object:
    """Give the /status of a sidecar that has the wanted configuration and a healthy issuer."""
    base = {
        "schemaVersion": 1,
        "configHash": CONFIG.hash,
        "generation": 3,
        "degraded": None,
        "startedAt": NOW,
        "issuer": {
            "issuer": "https://sso.example.com/realms/corp",
            "reachable": True,
            "jwksKeys": 2,
            "lastSuccess": "2026-02-03T04:00:00Z",
            "lastError": None,
            "registration": True,
            "metadataDocuments": False,
            "issParameter": True,
            "pkce": True,
        },
    }
    return merged(base, change)
