"""Objects of a cluster as the controller's tests need them, and the paths at which they live."""

import json
from typing import Any

from postern_operator import names
from postern_operator.settings import Settings

Object = dict[str, Any]

SETTINGS = Settings(sidecar_image="registry.example.com/sidecar:1")
POLICY = "/apis/postern.dev/v1alpha1/namespaces/team-a/mcpauthpolicies/weather"
DEPLOYMENT = "/apis/apps/v1/namespaces/team-a/deployments/weather"
CONFIG_MAP = "/api/v1/namespaces/team-a/configmaps/postern-weather"
KEYS = "/api/v1/namespaces/team-a/secrets/postern-weather-keys"
MASTER_KEYS = "/api/v1/namespaces/postern-system/secrets/postern-master-keys"
POD = "/api/v1/namespaces/team-a/pods/weather-1"


def policy(**spec: Any) -> Object:
    return {
        "apiVersion": "postern.dev/v1alpha1",
        "kind": "McpAuthPolicy",
        "spec": {
            "resource": {"url": "https://mcp.example.com/mcp"},
            "mode": "Direct",
            "provider": {"keycloak": {"url": "https://sso.example.com", "realm": "corp"}},
            **spec,
        },
    }


def proxy_policy(**spec: Any) -> Object:
    client = {"id": "postern", "secretRef": {"name": "weather-login", "key": "password"}}
    return policy(mode="Proxy", proxy={"client": client}, **spec)


def deployment(*, replicas: int = 1, pods: int = 0) -> Object:
    return {
        "metadata": {"annotations": {names.POLICY_ANNOTATION: "weather"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "weather"}},
            "template": {
                "metadata": {"labels": {"app": "weather"}},
                "spec": {"containers": [{"name": "app", "image": "weather:1", "ports": [{"containerPort": 8000}]}]},
            },
        },
        "status": {"replicas": pods, "updatedReplicas": pods, "observedGeneration": 1},
    }


def guarded_pod(*, ip: str = "127.0.0.1", shape: str = "") -> Object:
    return {
        "metadata": {
            "labels": {"app": "weather", names.INJECT_LABEL: "true"},
            "annotations": {
                names.POLICY_ANNOTATION: "weather",
                names.SHAPE_ANNOTATION: shape,
                names.INJECTED_ANNOTATION: json.dumps({"shape": shape}),
            },
        },
        "spec": {
            "initContainers": [{"name": "postern", "image": "i", "restartPolicy": "Always"}],
            "containers": [{"name": "app", "image": "weather:1", "env": [{"name": "A", "value": "x" * 500}]}],
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "initContainerStatuses": [{"name": "postern", "ready": True, "restartCount": 0}],
        },
    }


def bare_pod() -> Object:
    return {
        "metadata": {"labels": {"app": "weather"}},
        "spec": {"containers": [{"name": "app", "image": "weather:1"}]},
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }


def report(config_hash: str, **issuer: Any) -> Object:
    """What a healthy sidecar says of itself, or one with another view of the issuer."""
    return {
        "schemaVersion": 1,
        "configHash": config_hash,
        "generation": 1,
        "degraded": None,
        "issuer": {
            "issuer": "https://sso.example.com/realms/corp",
            "reachable": True,
            "jwksKeys": 2,
            "lastSuccess": "2026-01-01T00:00:00Z",
            "lastError": None,
            "registration": True,
            "metadataDocuments": False,
            "issParameter": True,
            "pkce": True,
            **issuer,
        },
    }
