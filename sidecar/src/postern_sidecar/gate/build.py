"""From a policy to a gate: this module is where its parts are put together."""

import time
from dataclasses import dataclass

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.gate.gate import Gate
from postern_sidecar.gate.issuer import Issuer
from postern_sidecar.idp.refreshed import Clock
from postern_sidecar.metrics import Metrics

__all__ = ["OwnNames", "build"]


@dataclass(frozen=True, slots=True)
class OwnNames:
    """How this pod is reached besides the public host."""

    addresses: tuple[str, ...]
    """The pod's addresses; for reports: every IP address is accepted in Host."""
    namespace: str
    """The pod's namespace; empty outside a cluster."""


def build(config: SidecarConfig, ca_pem: bytes | None, own: OwnNames, metrics: Metrics, previous: Gate | None) -> Gate:
    """Give a gate for the policy; makes no network call and needs no running loop.

    ca_pem is the content of ca.crt, None when it is absent. Keys and metadata are taken over from previous when the
    issuer, its locations and the CA are the same. The verified tokens never are: the new policy judges each anew.
    """
    issuer = Issuer(config.issuer, ca_pem, metrics, Clock(time.monotonic, time.time))
    if previous is not None:
        issuer.adopt(previous.issuer)
    return Gate(config, own.namespace, issuer, metrics)
