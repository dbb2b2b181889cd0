"""The identity provider of one policy: this module owns its client, its metadata and its keys, and keeps them fresh."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from postern_crds.sidecar_config import IssuerConfig
from postern_sidecar.idp.client import IdpClient
from postern_sidecar.idp.metadata import Metadata, load_metadata
from postern_sidecar.idp.refreshed import MAX_RETRY_S, Clock, Refreshed
from postern_sidecar.metrics import Metrics
from postern_sidecar.tokens.jwks import Jwks

__all__ = ["Issuer", "IssuerHealth"]


@dataclass(frozen=True, slots=True)
class IssuerHealth:
    """The identity provider as this sidecar saw it."""

    issuer: str
    """As its metadata states it; as configured while that was never read."""
    reachable: bool
    """Whether the latest fetch of the keys succeeded."""
    jwks_keys: int
    """Number of usable signing keys."""
    last_success: float | None
    """Epoch seconds of the latest successful fetch of the keys."""
    last_error: str | None
    """What went wrong at the latest fetch of the keys, else of the metadata; None: nothing."""
    registration: bool
    metadata_documents: bool
    iss_parameter: bool
    pkce: bool
    verified_tokens: int
    """Entries in the cache of verified tokens."""


class Issuer:
    """What is known of the identity provider; nothing is fetched before somebody asks or run() does."""

    def __init__(self, config: IssuerConfig, ca_pem: bytes | None, metrics: Metrics, clock: Clock) -> None:
        self.source = (config.issuer, config.metadata_urls, config.jwks_uri, config.private_ca, ca_pem)
        self._configured = config.issuer
        self._client = IdpClient(ca_pem, ca_required=config.private_ca)
        self.metadata: Refreshed[Metadata] = Refreshed(partial(load_metadata, self._client, config), clock)
        self.jwks = Jwks(self._client, config.jwks_uri, self.metadata, clock, metrics)

    def adopt(self, previous: "Issuer") -> None:
        """Start with what a previous one knows, if it asked the same places with the same trust."""
        if self.source == previous.source:
            self.metadata.state = previous.metadata.state
            self.jwks.ring.state = previous.jwks.ring.state

    def is_known(self) -> bool:
        """Whether keys were loaded at least once, and metadata at least tried: it says how the issuer is spelled."""
        return self.jwks.ring.last_success is not None and self.metadata.attempted

    def health(self, verified_tokens: int) -> IssuerHealth:
        """Give the state for status reports."""
        ring, metadata = self.jwks.ring.value, self.metadata.value
        error = self.jwks.ring.error or self.metadata.error
        return IssuerHealth(
            issuer=self._configured if metadata is None else metadata.issuer,
            reachable=ring is not None and self.jwks.ring.error is None,
            jwks_keys=0 if ring is None else len(ring.keys),
            last_success=self.jwks.ring.last_success,
            last_error=None if error is None else str(error),
            registration=metadata is not None and metadata.registration,
            metadata_documents=metadata is not None and metadata.metadata_documents,
            iss_parameter=metadata is not None and metadata.iss_parameter,
            pkce=metadata is not None and metadata.pkce,
            verified_tokens=verified_tokens,
        )

    async def refresh_due(self) -> float:
        """Refresh what is due. Gives the seconds until something is due again."""
        for cached in (self.metadata, self.jwks.ring):
            if cached.due_in_s() <= 0:
                await cached.refresh()
        return min(self.metadata.due_in_s(), self.jwks.ring.due_in_s())

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Refresh ahead of time until cancelled."""
        while True:
            try:
                delay_s = await self.refresh_due()
            except Exception:  # noqa: BLE001 - a background loop: whatever happens, the keys must stay fresh
                structlog.get_logger("postern.idp").exception("refreshing failed")
                delay_s = MAX_RETRY_S
            # At least a second: a clock that jumps must not make this a busy loop.
            await sleep(max(delay_s, 1.0))

    async def aclose(self) -> None:
        """Stop fetches under way and close connections."""
        await self.metadata.aclose()
        await self.jwks.ring.aclose()
        await self._client.aclose()
