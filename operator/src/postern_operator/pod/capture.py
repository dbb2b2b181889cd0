"""Which port of a pod is guarded, which stay open, which are closed: this module is that choice, for mode Redirect."""

from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT
from postern_operator.pod.containers import running, tcp_ports
from postern_operator.pod.decision import Reason, Refused
from postern_operator.policy.stored import Policy

__all__ = ["Guard", "guard"]


@dataclass(frozen=True, slots=True)
class Guard:
    """What the redirect is told."""

    port: int
    """The MCP server's port: traffic to it goes through the sidecar."""
    exempt: tuple[int, ...]
    """Ports that stay reachable, ascending."""

    def is_closed(self, port: int) -> bool:
        """Tell whether nobody outside the pod reaches this port directly, the kubelet included."""
        return port not in (*self.exempt, LISTEN_PORT, HEALTH_PORT)

    def closed(self, pod: dict[str, Any]) -> list[str]:
        """List declared ports that become unreachable, such as '9090 (metrics of container app)'."""
        return [
            _describe(container, port)
            for container in running(pod)
            for port in tcp_ports(container)
            if port["containerPort"] != self.port and self.is_closed(port["containerPort"])
        ]


def guard(pod: dict[str, Any], policy: Policy) -> Guard | Refused:
    """Find the guarded port: as the policy says, by number or by name; else the only declared TCP port not exempt."""
    wanted = policy.spec.server.port
    port = wanted if isinstance(wanted, int) else _declared(pod, wanted, policy)
    if isinstance(port, Refused):
        return port
    if port in policy.spec.server.exempt_ports:
        return Refused(
            Reason.POLICY_INVALID,
            f"spec.server.exemptPorts of {policy} names {port}, the guarded port: that would open the MCP server to "
            "everybody; remove it there",
        )
    if port in (LISTEN_PORT, HEALTH_PORT):
        return Refused(
            Reason.PORT_CLASH,
            f"the guarded port is {port}, which belongs to the sidecar: let the server listen on another port",
        )
    return Guard(port, tuple(sorted(set(policy.spec.server.exempt_ports))))


def _declared(pod: dict[str, Any], name: str | None, policy: Policy) -> int | Refused:
    declared = [(c, p) for c in running(pod) for p in tcp_ports(c)]
    listed = ", ".join(_describe(container, port) for container, port in declared) or "none"
    fitting = {p["containerPort"] for _, p in declared if name is None or p.get("name") == name}
    if name is None:
        fitting -= set(policy.spec.server.exempt_ports)
    if len(fitting) == 1:
        return int(fitting.pop())
    setting = f"set spec.server.port of {policy} to the port that the MCP server listens on"
    if name is not None:
        what = "are several ports" if fitting else "is no port"
        return Refused(
            Reason.AMBIGUOUS_PORT if fitting else Reason.UNKNOWN_PORT_NAME,
            f"there {what} named {name!r} (spec.server.port of {policy}); the TCP ports in spec.containers[*].ports "
            f"are: {listed}; name one of them, or {setting}",
        )
    if not fitting:
        what = "no TCP port but exempt ones is declared in spec.containers[*].ports"
        return Refused(Reason.NO_PORT, f"{what} (found: {listed}): {setting}")
    return Refused(Reason.AMBIGUOUS_PORT, f"several TCP ports are declared ({listed}): {setting}")


def _describe(container: dict[str, Any], port: dict[str, Any]) -> str:
    """Give a port for messages, such as '9090 (metrics of container app)'."""
    name = f"{port['name']} of " if port.get("name") else ""
    return f"{port['containerPort']} ({name}container {container['name']})"
