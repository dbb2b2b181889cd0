"""What is put into a pod: this module is our two containers and our volume, as typed data, never as text templates.

Values that the API server would fill in are written out, so that a pod that comes back to us is found unchanged.
"""

import json
from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT, SIDECAR_UID
from postern_operator import names
from postern_operator.pod.capture import Guard
from postern_operator.pod.probes import ENVIRONMENT, Originals
from postern_operator.pod.secret_sources import secret_sources
from postern_operator.policy.stored import Policy
from postern_operator.settings import Settings

__all__ = ["Parts", "capture_container", "is_our_volume", "is_ours", "sidecar_container", "volume"]

_TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_SIDECAR_COMMAND = ["postern-sidecar"]
_CAPTURE_COMMAND = "postern-capture"
_DEFAULT_GRACE_S = 30
"""terminationGracePeriodSeconds of a pod that names none (Kubernetes API)."""
_DRAIN_MARGIN_S = 5
"""Left of the grace period for the sidecar to close what did not end, before it is killed."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the containers are made of."""

    policy: Policy
    settings: Settings
    guard: Guard
    originals: Originals
    grace_s: int | None
    """The pod's terminationGracePeriodSeconds; None: the default."""


def is_ours(container: dict[str, Any]) -> bool:
    """Tell whether an init container was put there by an earlier injection.

    Nothing in it is trusted: it is rendered anew. Anything else under our names is somebody else's and refused.
    """
    command = container.get("command") or [""]
    match container["name"]:
        case names.SIDECAR_CONTAINER:
            return bool(command == _SIDECAR_COMMAND and container.get("restartPolicy") == "Always")
        case names.CAPTURE_CONTAINER:
            return bool(command[0] == _CAPTURE_COMMAND)
        case _:
            return False


def is_our_volume(candidate: dict[str, Any]) -> bool:
    """Tell whether a volume was put there by an earlier injection; it is rendered anew as well."""
    sources = (candidate.get("projected") or {}).get("sources") or [{}]
    first = (sources[0].get("configMap") or {}).get("name") or ""
    return bool(candidate["name"] == names.VOLUME and first.startswith(names.config_map_name("")))


def capture_container(parts: Parts) -> dict[str, Any]:
    """Give the init container ``postern-net``, which installs the redirect and ends (INJECTION 4.5)."""
    command = [_CAPTURE_COMMAND, "--guard", str(parts.guard.port)]
    command += ["--listen", str(LISTEN_PORT), "--health", str(HEALTH_PORT)]
    for port in parts.guard.exempt:
        command += ["--exempt", str(port)]
    return {
        "name": names.CAPTURE_CONTAINER,
        **_image(parts.settings),
        "command": [*command, "--uid", str(SIDECAR_UID)],
        "securityContext": _security_context(user=0, added=["NET_ADMIN"]),
        # Those of the sidecar: an init container that asks for no more costs nothing, and with equal requests and
        # limits in the policy a pod keeps its quality-of-service class Guaranteed.
        "resources": _resources(parts.policy),
        # One file in the token's place: it runs as root, and of the volume's secrets it needs none.
        "volumeMounts": [_mount(_TOKEN_DIRECTORY) | {"subPath": names.CONFIG_FILE}],
        **_TERMINATION,
    }


def sidecar_container(parts: Parts) -> dict[str, Any]:
    """Give the native sidecar ``postern`` (INJECTION 4.4)."""
    return {
        "name": names.SIDECAR_CONTAINER,
        **_image(parts.settings),
        "restartPolicy": "Always",
        "command": list(_SIDECAR_COMMAND),
        "env": _environment(parts),
        "ports": [
            {"name": "postern", "containerPort": LISTEN_PORT, "protocol": "TCP"},
            {"name": "postern-health", "containerPort": HEALTH_PORT, "protocol": "TCP"},
        ],
        "securityContext": _security_context(user=SIDECAR_UID, added=[]),
        # Started means that the ports are bound, so that the server can start; a bad policy is told by readiness.
        "startupProbe": _probe("/startupz", period_s=1, failures=60),
        # Each second, the shortest there is: a pod that is ready between two probes waits for the next one.
        "readinessProbe": _probe("/readyz", period_s=1, failures=3),
        "livenessProbe": _probe("/livez", period_s=10, failures=6),
        "resources": _resources(parts.policy),
        # A mount at the token's place keeps the ServiceAccount plugin from putting the server's token there.
        "volumeMounts": [_mount(names.CONFIG_DIRECTORY), _mount(_TOKEN_DIRECTORY)],
        **_TERMINATION,
    }


def volume(policy: Policy) -> dict[str, Any]:
    """Give the one volume: the rendered file, required, and all that may come later or be taken away again.

    Everybody may read the files (0444): without an fsGroup the kubelet gives projected files to root alone, and one of
    ours would change the user's own volumes. Nobody else mounts this volume; who tries is refused (pod.refusals).
    """
    sources = [_source("configMap", names.config_map_name(policy.name), key=names.CONFIG_FILE, path=names.CONFIG_FILE)]
    if policy.spec.ca_bundle is not None:
        bundle = policy.spec.ca_bundle.config_map
        sources.append(_source("configMap", bundle.name, key=bundle.key, path=names.CA_FILE, optional=True))
    sources += [
        _source("secret", secret.name, key=secret.key, path=secret.file, optional=True)
        for secret in secret_sources(policy)
    ]
    return {"name": names.VOLUME, "projected": {"sources": sources, "defaultMode": 0o444}}


_TERMINATION = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "FallbackToLogsOnError",
}


def _image(settings: Settings) -> dict[str, Any]:
    return {"image": settings.sidecar_image, "imagePullPolicy": settings.sidecar_pull_policy}


def _environment(parts: Parts) -> list[dict[str, Any]]:
    grace = _DEFAULT_GRACE_S if parts.grace_s is None else parts.grace_s
    literal = {
        "POSTERN_CONFIG": names.CONFIG_DIRECTORY,
        "POSTERN_LISTEN": f"[::]:{LISTEN_PORT}",
        "POSTERN_HEALTH": f"[::]:{HEALTH_PORT}",
        "POSTERN_UPSTREAM": f"127.0.0.1:{parts.guard.port}",
        "POSTERN_DRAIN_SECONDS": str(max(1, grace - _DRAIN_MARGIN_S)),
    }
    if parts.originals:
        text = json.dumps(parts.originals, sort_keys=True, separators=(",", ":"))
        # The kubelet would expand $(NAME) in the value of a variable; in JSON a dollar has a second spelling.
        literal[ENVIRONMENT] = text.replace("$", "\\u0024")
    fields = {"POSTERN_POD_IPS": "status.podIPs", "POSTERN_NAMESPACE": "metadata.namespace"}
    return [
        *({"name": name, "value": value} for name, value in literal.items()),
        *(
            {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
            for name, path in fields.items()
        ),
    ]


def _security_context(*, user: int, added: list[str]) -> dict[str, Any]:
    return {
        "runAsNonRoot": user != 0,
        "runAsUser": user,
        "runAsGroup": user,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], **({"add": added} if added else {})},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _probe(path: str, *, period_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": HEALTH_PORT, "scheme": "HTTP"},
        "periodSeconds": period_s,
        "failureThreshold": failures,
        "successThreshold": 1,
        "timeoutSeconds": 5,
    }


def _resources(policy: Policy) -> dict[str, Any]:
    resources = policy.spec.sidecar.resources
    kinds = {"requests": resources.requests, "limits": resources.limits}
    return {kind: {name: str(amount) for name, amount in amounts.items()} for kind, amounts in kinds.items() if amounts}


def _mount(directory: str) -> dict[str, Any]:
    return {"name": names.VOLUME, "mountPath": directory, "readOnly": True}


def _source(kind: str, name: str, *, key: str, path: str, optional: bool = False) -> dict[str, Any]:
    source: dict[str, Any] = {"name": name, "items": [{"key": key, "path": path}]}
    return {kind: source | {"optional": True} if optional else source}
