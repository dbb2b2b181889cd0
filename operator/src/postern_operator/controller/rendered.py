"""All files of a policy together: this module joins its configuration with its key ring."""

from dataclasses import dataclass
from typing import Any

from postern_crds.key_ring import KeyRing
from postern_crds.sidecar_config import SidecarConfig
from postern_operator.controller.master_keys import MasterKeys
from postern_operator.errors import ClusterError
from postern_operator.policy.keyring import ring, ring_hash
from postern_operator.settings import Settings
from postern_operator.status.conditions import Problem

__all__ = ["Rendered", "complete"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the sidecars of a policy read."""

    config: SidecarConfig
    ring: KeyRing | None = None
    """None in mode Direct."""

    @property
    def keys_hash(self) -> str | None:
        """Tells one ring from another; None without one."""
        return None if self.ring is None else ring_hash(self.ring)

    @property
    def version(self) -> str:
        """Tells one content of the volume from another: hash of the configuration, and of the ring if there is one."""
        return self.config.hash if self.keys_hash is None else f"{self.config.hash}.{self.keys_hash}"


async def complete(
    policy: dict[str, Any], config: SidecarConfig, keys: MasterKeys, settings: Settings, *, now: int
) -> Rendered | Problem:
    """Give all files, or why there can be no key ring. ``now`` is in epoch seconds.

    Raises ClusterUnavailable. While there is no ring, everything stays as it was written.
    """
    if config.mode == "Direct":
        return Rendered(config)
    metadata = policy["metadata"]
    if metadata["namespace"] == settings.namespace:
        # A policy named "master" would have its ring written over the master keys.
        message = f"nothing in the operator's own namespace {settings.namespace} is protected: put the policy elsewhere"
        return Problem("Programmed", "OwnNamespace", message)
    try:
        masters = await keys.current()
    except ClusterError as error:
        return Problem("Programmed", "NoMasterKey", f"{keys.place} cannot be read: {error}")
    if not masters:
        message = f"{keys.place} holds no usable master key: put back what was there; see the log of the operator"
        return Problem("Programmed", "NoMasterKey", message)
    return Rendered(config, ring(masters, metadata["uid"], now))
