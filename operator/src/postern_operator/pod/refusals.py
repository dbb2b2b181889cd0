"""What no policy can cure: this module is the checks of a pod that need no policy.

Each check gives a refusal or None; they run in the order of ``_CHECKS``.
"""

from collections.abc import Callable
from typing import Any

from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT, SIDECAR_UID
from postern_operator import names
from postern_operator.pod.container import is_our_volume
from postern_operator.pod.containers import every
from postern_operator.pod.decision import Reason, Refused

__all__ = ["refusal"]

_ENFORCE = "pod-security.kubernetes.io/enforce"
_STRICT = ("baseline", "restricted")
_OWN_CONTAINERS = (names.SIDECAR_CONTAINER, names.CAPTURE_CONTAINER)
_OWN_VOLUMES = (names.VOLUME,)
_OWN_PORTS = (LISTEN_PORT, HEALTH_PORT)


def refusal(pod: dict[str, Any], namespace: dict[str, Any]) -> Refused | None:
    """Give the first reason why this pod can never be protected; None: it can.

    ``pod`` is without our own containers; our volume may be there.
    """
    return _namespace(namespace) or next((found for check in _CHECKS if (found := check(pod))), None)


def _namespace(namespace: dict[str, Any]) -> Refused | None:
    metadata = namespace.get("metadata") or {}
    level = (metadata.get("labels") or {}).get(_ENFORCE)
    if level not in _STRICT:
        return None
    return Refused(
        Reason.INCOMPATIBLE_NAMESPACE,
        f"namespace {metadata.get('name', '')} enforces the Pod Security Standard {level} (label {_ENFORCE}), which "
        f"forbids the init container {names.CAPTURE_CONTAINER} its capability NET_ADMIN: set that label to privileged, "
        "or run the workload in a namespace without it",
    )


def _host_network(pod: dict[str, Any]) -> Refused | None:
    if not pod["spec"].get("hostNetwork"):
        return None
    return Refused(
        Reason.HOST_NETWORK,
        "spec.hostNetwork is true: the redirect would change the node's own network; remove spec.hostNetwork",
    )


def _windows(pod: dict[str, Any]) -> Refused | None:
    spec = pod["spec"]
    system = (spec.get("os") or {}).get("name")
    selected = (spec.get("nodeSelector") or {}).get("kubernetes.io/os")
    if "windows" not in (system, selected):
        return None
    where = "spec.os.name" if system == "windows" else "spec.nodeSelector[kubernetes.io/os]"
    return Refused(
        Reason.WINDOWS_POD, f"{where} is windows: the sidecar runs on Linux nodes only; run the server there"
    )


def _shared_processes(pod: dict[str, Any]) -> Refused | None:
    if not pod["spec"].get("shareProcessNamespace"):
        return None
    return Refused(
        Reason.SHARE_PROCESS_NAMESPACE,
        "spec.shareProcessNamespace is true: other containers could read and signal the sidecar; remove it",
    )


def _names(pod: dict[str, Any]) -> Refused | None:
    taken: list[tuple[str, str, tuple[str, ...]]] = [(path, c["name"], _OWN_CONTAINERS) for path, c in every(pod)]
    taken += [
        (f"spec.volumes[{i}]", volume["name"], _OWN_VOLUMES)
        for i, volume in enumerate(pod["spec"].get("volumes") or [])
        if not is_our_volume(volume)
    ]
    taken += [
        (f"{path}.volumeMounts[{i}]", mount["name"], _OWN_VOLUMES)
        for path, c in every(pod)
        for i, mount in enumerate(c.get("volumeMounts") or [])
    ]
    for path, name, reserved in taken:
        if name in reserved:
            return Refused(Reason.NAME_CLASH, f"{path}.name is {name!r}, which belongs to Postern: choose another name")
    return None


def _ports(pod: dict[str, Any]) -> Refused | None:
    for path, container in every(pod):
        for i, port in enumerate(container.get("ports") or []):
            for field in ("containerPort", "hostPort"):
                if port.get(field) in _OWN_PORTS:
                    return Refused(
                        Reason.PORT_CLASH,
                        f"{path}.ports[{i}].{field} of container {container['name']} is {port[field]}, which belongs "
                        "to the sidecar: choose another port",
                    )
    return None


def _user_ids(pod: dict[str, Any]) -> Refused | None:
    contexts = [("spec", pod["spec"]), *every(pod)]
    for path, holder in contexts:
        if (holder.get("securityContext") or {}).get("runAsUser") == SIDECAR_UID:
            return Refused(
                Reason.USER_CLASH,
                f"{path}.securityContext.runAsUser is {SIDECAR_UID}, the sidecar's user, whose traffic the "
                "redirect lets pass: choose another user id",
            )
    return None


_CHECKS: tuple[Callable[[dict[str, Any]], Refused | None], ...] = (
    _host_network,
    _windows,
    _shared_processes,
    _names,
    _ports,
    _user_ids,
)
