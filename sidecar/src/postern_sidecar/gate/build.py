"""From a policy to a gate: this module is where its parts are put together."""

from dataclasses import dataclass

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.gate.gate import Gate
from postern_sidecar.gate.upstream import Upstream
from postern_sidecar.metrics import Metrics
from postern_sidecar.tokens.source import Source

__all__ = ["OwnNames", "build"]


@dataclass(frozen=True, slots=True)
class OwnNames:
    """How this pod is reached besides the public host."""

    addresses: tuple[str, ...]
    """The pod's addresses; for reports: every IP address is accepted in Host."""
    namespace: str
    """The pod's namespace; empty outside a cluster."""


def build(config: SidecarConfig, own: OwnNames, metrics: Metrics, upstream: Upstream, source: Source) -> Gate:
    """Give a gate for the policy; source reads the access tokens that clients bring."""
    return Gate(config, own.namespace, upstream, source, metrics)
