"""Reading a pod's containers: this module is the few questions that every check asks of them."""

from collections.abc import Iterator
from typing import Any

__all__ = ["every", "running", "tcp_ports"]


def every(pod: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give (field path, container) of every container, init containers first."""
    for field in ("initContainers", "containers"):
        for i, container in enumerate(pod["spec"].get(field) or []):
            yield f"spec.{field}[{i}]", container


def running(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the containers that run side by side: containers, then native sidecars (init, restartPolicy Always)."""
    yield from pod["spec"].get("containers") or []
    yield from (c for c in pod["spec"].get("initContainers") or [] if c.get("restartPolicy") == "Always")


def tcp_ports(container: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the declared ports that speak TCP, the default."""
    return [p for p in container.get("ports") or [] if p.get("protocol", "TCP") == "TCP"]
