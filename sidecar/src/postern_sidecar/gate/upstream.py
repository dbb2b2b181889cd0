"""The identity provider of one policy with whatever reads its tokens: this module puts both together."""

import time
from dataclasses import dataclass

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.gate.issuer import Issuer
from postern_sidecar.idp.refreshed import Clock
from postern_sidecar.material import Material
from postern_sidecar.metrics import Metrics
from postern_sidecar.tokens.remote import RemoteTokens
from postern_sidecar.tokens.signed import SignedTokens

__all__ = ["Upstream", "connect"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """The identity provider, and what reads its access tokens."""

    issuer: Issuer
    tokens: SignedTokens | RemoteTokens

    async def aclose(self) -> None:
        """Stop what is under way and close connections."""
        if isinstance(self.tokens, RemoteTokens):
            await self.tokens.aclose()
        await self.issuer.aclose()


def connect(config: SidecarConfig, material: Material, metrics: Metrics, previous: Upstream | None) -> Upstream:
    """Give the identity provider of a policy; makes no network call and needs no running loop.

    Keys and metadata are taken over from previous when the issuer, its locations and the CA are the same.
    """
    remote, proxy = config.verification.remote, config.proxy
    needs_keys = remote is None or (proxy is not None and proxy.upstream.openid)
    clock = Clock(time.monotonic, time.time)
    issuer = Issuer(config.issuer, material.ca_pem, metrics, clock, needs_keys=needs_keys)
    if previous is not None:
        issuer.adopt(previous.issuer)
    if remote is None:
        return Upstream(issuer, SignedTokens(config, issuer.metadata, issuer.jwks))
    secret = material.secrets.get(remote.secret_file)
    return Upstream(issuer, RemoteTokens(config, remote, issuer.client, issuer.metadata, secret=secret))
