"""The identity provider of one policy: this module owns its client, its metadata and its keys, and keeps them fresh."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from postern_crds.sidecar_config import IssuerConfig
from postern_sidecar.idp.client import IdpClient
from postern_sidecar.idp.metadata import Metadata, load_metadata
from postern_sidecar.idp.refreshed import MAX_RETRY_S, Clock, Refreshed
from postern_sidecar.logs import get_logger
from postern_sidecar.metrics import Metrics
from postern_sidecar.tokens.jwks import Jwks

__all__ = ["ClientState", "Issuer", "IssuerHealth"]

ClientState = Literal["none", "ready", "secret_missing", "secret_rejected", "keys_missing"]
"""What we can do as a client of the identity provider; none: we are none, or need no secret. keys_missing: whatever the
secret, there is no key ring to seal with."""


@dataclass(frozen=True, slots=True)
class IssuerHealth:
    """The identity provider as this sidecar saw it."""

    issuer: str
    """As its metadata states it; as configured while that was never read."""
    reachable: bool
    """Whether the latest fetch of the keys succeeded, or of the metadata where no keys are needed."""
    jwks_keys: int
    """Number of usable signing keys."""
    last_success: float | None
    """Epoch seconds of the latest successful fetch of the same."""
    last_error: str | None
    """What went wrong at the latest fetch of the keys, else of the metadata, else with the latest question about a
    token; None: nothing."""
    registration: bool
    metadata_documents: bool
    iss_parameter: bool
    pkce: bool
    verified_tokens: int
    """Entries in the cache of verified tokens."""
    client: ClientState = "none"
    """State of our own client there."""


class Issuer:
    """What is known of the identity provider; nothing is fetched before somebody asks or run() does."""

    def __init__(
        self, config: IssuerConfig, ca_pem: bytes | None, metrics: Metrics, clock: Clock, *, needs_keys: bool = True
    ) -> None:
        """Take where it is. needs_keys: whether anything is verified with its signing keys."""
        self.source = (config.issuer, config.metadata_urls, config.jwks_uri, config.private_ca, ca_pem)
        self._configured = config.issuer
        self.client = IdpClient(ca_pem, ca_required=config.private_ca)
        self.metadata: Refreshed[Metadata] = Refreshed(partial(load_metadata, self.client, config), clock)
        self.jwks = Jwks(self.client, config.jwks_uri, self.metadata, clock, metrics)
        self._kept: list[Refreshed[Any]] = []
        if config.metadata_urls:
            self._kept.append(self.metadata)
        if needs_keys:
            self._kept.append(self.jwks.ring)

    @property
    def name(self) -> str:
        """The issuer's name as its metadata spells it; as configured while that was never read."""
        metadata = self.metadata.value
        return self._configured if metadata is None else metadata.issuer

    def adopt(self, previous: "Issuer") -> None:
        """Start with what a previous one knows, if it asked the same places with the same trust."""
        if self.source == previous.source:
            self.metadata.state = previous.metadata.state
            self.jwks.ring.state = previous.jwks.ring.state

    def health(self, verified_tokens: int, *, other_error: str | None = None) -> IssuerHealth:
        """Give the state for status reports. other_error: counts where nothing is wrong with what is fetched here."""
        ring, metadata = self.jwks.ring.value, self.metadata.value
        errors = [str(kept.error) for kept in reversed(self._kept) if kept.error is not None]
        first = self._kept[-1] if self._kept else None
        return IssuerHealth(
            issuer=self.name,
            reachable=other_error is None if first is None else first.value is not None and first.error is None,
            jwks_keys=0 if ring is None else len(ring.keys),
            last_success=None if first is None else first.last_success,
            last_error=errors[0] if errors else other_error,
            registration=metadata is not None and metadata.registration,
            metadata_documents=metadata is not None and metadata.metadata_documents,
            iss_parameter=metadata is not None and metadata.iss_parameter,
            pkce=metadata is not None and metadata.pkce,
            verified_tokens=verified_tokens,
        )

    async def refresh_due(self) -> float:
        """Refresh what is due. Gives the seconds until something is due again."""
        for cached in self._kept:
            if cached.due_in_s() <= 0:
                await cached.refresh()
        return min((cached.due_in_s() for cached in self._kept), default=MAX_RETRY_S)

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Refresh ahead of time until cancelled."""
        while True:
            try:
                delay_s = await self.refresh_due()
            except Exception:  # noqa: BLE001 - a background loop: whatever happens, the keys must stay fresh
                get_logger("postern.idp").exception("refreshing failed")
                delay_s = MAX_RETRY_S
            # At least a second: a clock that jumps must not make this a busy loop.
            await sleep(max(delay_s, 1.0))

    async def aclose(self) -> None:
        """Stop fetches under way and close connections."""
        await self.metadata.aclose()
        await self.jwks.ring.aclose()
        await self.client.aclose()
