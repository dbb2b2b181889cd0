"""A McpAuthPolicy as read from the cluster or a file becomes values or a list of faults: this module is that border."""

from dataclasses import dataclass
from typing import Any

import msgspec

from postern_crds.v1alpha1 import PolicySpec
from postern_crds.validate import faults

__all__ = ["Policy", "parse", "problems"]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with all defaults filled in."""

    namespace: str
    """Empty outside a cluster when the file names none."""
    name: str
    uid: str
    generation: int
    spec: PolicySpec

    def __str__(self) -> str:
        """Give the name for messages, such as 'McpAuthPolicy team-a/weather'."""
        return f"McpAuthPolicy {self.namespace}/{self.name}" if self.namespace else f"McpAuthPolicy {self.name}"


def parse(policy: dict[str, Any]) -> Policy:
    """Read a policy of the right types; the rules between fields are not judged (``problems`` does that).

    Raises msgspec.ValidationError (a ValueError) with the place of the first fault.
    """
    metadata = policy.get("metadata") or {}
    try:
        spec = msgspec.convert(policy.get("spec"), PolicySpec)
    except msgspec.ValidationError as e:
        raise msgspec.ValidationError(str(e).replace("`$", "`spec")) from e
    return Policy(
        namespace=metadata.get("namespace") or "",
        name=metadata.get("name") or "",
        uid=metadata.get("uid") or "",
        generation=metadata.get("generation") or 0,
        spec=spec,
    )


def problems(policy: dict[str, Any]) -> tuple[str, ...]:
    """List everything that the schema and its rules find wrong, each as 'path: message'. Empty: ``parse`` succeeds."""
    return tuple(f"{fault.path}: {fault.message}" if fault.path else fault.message for fault in faults(policy))
