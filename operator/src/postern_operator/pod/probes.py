"""The kubelet's probes cannot log in: this module is their way round, through the sidecar's health port.

A probe of a port that only the sidecar reaches becomes ``GET /app-health/<container>/<probe>`` on 19872. What it was is
kept in the sidecar's environment (POSTERN_PROBES), a fixed map, so that the health port is no open proxy.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT
from postern_operator.pod.capture import Guard
from postern_operator.pod.containers import running
from postern_operator.pod.decision import Reason, Refused

__all__ = ["ENVIRONMENT", "Originals", "exec_warnings", "originals_of", "rewrite"]

ENVIRONMENT = "POSTERN_PROBES"
Originals = dict[str, dict[str, Any]]
"""By '<container>/<probe>': the action and its timeoutSeconds, as the sidecar reads them."""

_PROBES = {"readinessProbe": "readiness", "livenessProbe": "liveness", "startupProbe": "startup"}
_HOOKS = ("postStart", "preStop")
_HOOK_TIMEOUT_S = 30
"""Hooks have no timeout of their own; the grace period bounds them. This bounds the sidecar's own call."""
_DEFAULT_TIMEOUT_S = 1
"""timeoutSeconds of a probe that names none (Kubernetes API)."""


@dataclass(frozen=True, slots=True)
class _Probe:
    """One probe or hook of a container, to be changed in place."""

    container: dict[str, Any]
    name: str
    holder: dict[str, Any]
    """The object that has httpGet, tcpSocket, grpc or exec as a member."""
    is_hook: bool

    @property
    def key(self) -> str:
        return f"{self.container['name']}/{self.name}"

    @property
    def path(self) -> str:
        """Where the sidecar answers for it."""
        return f"/app-health/{self.key}"


def originals_of(environment: list[dict[str, Any]]) -> Originals:
    """Read back what an earlier injection kept; empty when there is none or it cannot be read."""
    text = next((e.get("value") for e in environment if e.get("name") == ENVIRONMENT), None)
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def rewrite(pod: dict[str, Any], guard: Guard, before: Originals) -> Originals | Refused:
    """Turn probes of closed ports to the health port, in place, and give what all turned ones were.

    ``before``: originals of an earlier injection; one is taken over only for a probe that still points to its place.
    """
    kept: Originals = {}
    for probe in _probes_of(pod):
        refused = _refusal(probe, guard, before)
        if refused is not None:
            return refused
        if _is_turned(probe):
            kept[probe.key] = before[probe.key]
        elif (original := _original(probe, guard)) is not None:
            kept[probe.key] = original
            _turn(probe)
    return kept


def exec_warnings(pod: dict[str, Any], guard: Guard) -> list[str]:
    """Warn of commands that talk to the guarded port over loopback: the redirect asks them for a token too."""
    place = re.compile(rf"(localhost|127\.0\.0\.1|\[::1\]):{guard.port}(?!\d)")
    return [
        f"{probe.name} of container {probe.container['name']} runs a command that calls {found[0]}: it will be "
        f"answered with 401; use httpGet or tcpSocket on port {guard.port} instead"
        for probe in _probes_of(pod)
        if (found := place.search(" ".join((probe.holder.get("exec") or {}).get("command") or [])))
    ]


def _probes_of(pod: dict[str, Any]) -> Iterator[_Probe]:
    for container in running(pod):
        for field, name in _PROBES.items():
            if container.get(field):
                yield _Probe(container, name, container[field], is_hook=False)
        for name in _HOOKS:
            if (container.get("lifecycle") or {}).get(name):
                yield _Probe(container, name, container["lifecycle"][name], is_hook=True)


def _port(probe: _Probe) -> int | None:
    """Give the number of the port that a probe asks; None: a command, or a name that nobody declares."""
    action = probe.holder.get("httpGet") or probe.holder.get("tcpSocket") or probe.holder.get("grpc") or {}
    port = action.get("port")
    if isinstance(port, str) and port.isdecimal():
        return int(port)
    if isinstance(port, str):
        declared = probe.container.get("ports") or []
        return next((p["containerPort"] for p in declared if p.get("name") == port), None)
    return port


def _is_turned(probe: _Probe) -> bool:
    action = probe.holder.get("httpGet") or {}
    return action.get("port") == HEALTH_PORT and action.get("path") == probe.path


def _refusal(probe: _Probe, guard: Guard, before: Originals) -> Refused | None:
    where = f"{probe.name} of container {probe.container['name']}"
    port = _port(probe)
    if port in (LISTEN_PORT, HEALTH_PORT) and not (_is_turned(probe) and isinstance(before.get(probe.key), dict)):
        return Refused(
            Reason.PORT_CLASH,
            f"{where} asks port {port}, which belongs to the sidecar: let it ask a port of the server itself",
        )
    action = probe.holder.get("httpGet") or probe.holder.get("tcpSocket") or {}
    if action.get("host") and port == guard.port:
        return Refused(
            Reason.PROBE_HOST,
            f"{where} names host {action['host']!r} for the guarded port {port}: a probe that leaves the pod cannot "
            "pass through the sidecar; remove host",
        )
    return None


def _original(probe: _Probe, guard: Guard) -> dict[str, Any] | None:
    """Give a probe as the sidecar has to make it; None: it needs no turn."""
    port = _port(probe)
    if port is None or not guard.is_closed(port):
        return None
    timeout = _HOOK_TIMEOUT_S if probe.is_hook else probe.holder.get("timeoutSeconds", _DEFAULT_TIMEOUT_S)
    if http := probe.holder.get("httpGet"):
        if http.get("host"):
            return None
        action = {
            "httpGet": {
                "path": http.get("path") or "/",
                "port": port,
                "scheme": http.get("scheme", "HTTP"),
                "headers": http.get("httpHeaders") or [],
            }
        }
    elif tcp := probe.holder.get("tcpSocket"):
        if tcp.get("host"):
            return None
        action = {"tcpSocket": {"port": port}}
    else:
        action = {"grpc": {"port": port, "service": probe.holder["grpc"].get("service") or ""}}
    return {**action, "timeoutSeconds": timeout}


def _turn(probe: _Probe) -> None:
    for action in ("httpGet", "tcpSocket", "grpc"):
        probe.holder.pop(action, None)
    probe.holder["httpGet"] = {"path": probe.path, "port": HEALTH_PORT, "scheme": "HTTP"}
    if not probe.is_hook:
        # Room for the sidecar to answer when the server used up its own time.
        probe.holder["timeoutSeconds"] = probe.holder.get("timeoutSeconds", _DEFAULT_TIMEOUT_S) + 1
