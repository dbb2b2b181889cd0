"""What mode Proxy adds to a gate: this module puts the facade of one policy together."""

from dataclasses import dataclass

from postern_crds.key_ring import KeyRing
from postern_crds.sidecar_config import ProxyConfig, SidecarConfig
from postern_crds.sidecar_files import CLIENT_SECRET_FILE
from postern_sidecar.facade.clients import Clients
from postern_sidecar.facade.context import Context, IdentityProvider
from postern_sidecar.facade.document_fetch import DocumentFetcher
from postern_sidecar.facade.documents import Documents
from postern_sidecar.facade.exchange import Exchange
from postern_sidecar.facade.facade import Facade
from postern_sidecar.facade.refreshing import Refreshing
from postern_sidecar.gate.upstream import Upstream
from postern_sidecar.idp.endpoints import Endpoints
from postern_sidecar.material import Material
from postern_sidecar.metrics import FacadeMetrics
from postern_sidecar.proxy.server import FacadeServer
from postern_sidecar.sealing import Seals, upstream_name
from postern_sidecar.tokens.sealed import SealedTokens
from postern_sidecar.tokens.source import Source

__all__ = ["Equipment", "Lasting"]


@dataclass(frozen=True, slots=True)
class Equipment:
    """The facade of one policy, and what reads the access tokens that it hands out."""

    server: FacadeServer
    source: Source


class Lasting:
    """What outlives a policy, so that a reload loses no refresh under way and fetches nothing again."""

    def __init__(self, metrics: FacadeMetrics) -> None:
        self._metrics = metrics
        self._documents = Documents(DocumentFetcher())
        self._refreshing = Refreshing()
        self._seals: tuple[KeyRing, str, str, Seals] | None = None

    def equip(self, config: SidecarConfig, proxy: ProxyConfig, material: Material, upstream: Upstream) -> Equipment:
        """Put the facade of a policy together; makes no network call."""
        seals = self._seals_of(material.ring, proxy.issuer, upstream_name(config, proxy))
        facade = None if seals is None else Facade(self._context(config, proxy, material, upstream, seals))
        source = SealedTokens(config, seals) if proxy.token_mode == "Sealed" else upstream.tokens  # noqa: S105
        return Equipment(FacadeServer(facade, self._metrics, audit=config.log.audit), source)

    async def aclose(self) -> None:
        """Stop what is under way, at the end."""
        await self._refreshing.aclose()
        await self._documents.aclose()

    def _seals_of(self, ring: KeyRing | None, issuer: str, upstream: str) -> Seals | None:
        if ring is None:
            return None
        if self._seals is None or self._seals[:3] != (ring, issuer, upstream):
            # The same ring stays the same object, so that the tokens verified with it need not be opened again.
            self._seals = (ring, issuer, upstream, Seals(ring, issuer, upstream))
        return self._seals[3]

    def _context(
        self, config: SidecarConfig, proxy: ProxyConfig, material: Material, upstream: Upstream, seals: Seals
    ) -> Context:
        issuer = upstream.issuer
        endpoints = Endpoints(config.issuer, issuer.metadata)
        needs_secret = proxy.upstream.auth_method != "none"
        secret = material.secrets.get(CLIENT_SECRET_FILE) if needs_secret else None
        return Context(
            config=config,
            proxy=proxy,
            seals=seals,
            clients=Clients(config, seals, self._documents),
            idp=IdentityProvider(issuer.client, endpoints, issuer.metadata, issuer.jwks, upstream.tokens, secret),
            exchange=Exchange(proxy.upstream, endpoints, issuer.client, secret),
            refreshing=self._refreshing,
        )
