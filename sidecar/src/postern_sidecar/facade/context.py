"""What every endpoint of the facade works with: this module is that set, made once for each policy in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from postern_crds.sidecar_config import ProxyConfig, SidecarConfig
from postern_sidecar.facade.clients import Clients
from postern_sidecar.facade.exchange import Exchange
from postern_sidecar.facade.refreshing import Refreshing
from postern_sidecar.idp.client import IdpClient
from postern_sidecar.idp.endpoints import Endpoints
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Refreshed
from postern_sidecar.outcome import Invalid, Unavailable
from postern_sidecar.sealing import Seals
from postern_sidecar.tokens.jwks import Jwks

__all__ = ["AccessTokens", "Context", "IdentityProvider"]


class AccessTokens(Protocol):
    """Reads access tokens of the identity provider."""

    async def claims(self, token: bytes, now: float) -> Mapping[str, Any] | Invalid | Unavailable:
        """Give the claims of a token that is good and for us; exp among them where it is known."""


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """The identity provider, and what we are to it."""

    client: IdpClient
    endpoints: Endpoints
    metadata: Refreshed[Metadata]
    """Not to be asked when IssuerConfig.metadata_urls is empty."""
    jwks: Jwks
    """Of its ID tokens."""
    tokens: AccessTokens
    client_secret: str | None
    """None: its file is absent, or the method needs none."""


@dataclass(frozen=True, slots=True)
class Context:
    """One policy's facade."""

    config: SidecarConfig
    proxy: ProxyConfig
    seals: Seals
    clients: Clients
    idp: IdentityProvider
    exchange: Exchange
    refreshing: Refreshing
    """Outlives the policy: a reload must not lose a refresh under way."""
