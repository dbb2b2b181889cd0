"""Where the keys come from: this module keeps an issuer's key set fresh."""

from postern_sidecar.errors import CaUnavailable, IdpError, KeysUnavailable
from postern_sidecar.idp.client import IdpClient, explain
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Clock, Loaded, Refreshed
from postern_sidecar.metrics import Metrics
from postern_sidecar.tokens.keys import KeyRing, read_keys

__all__ = ["UNKNOWN_KID_COOL_DOWN_S", "Jwks"]

UNKNOWN_KID_COOL_DOWN_S = 10.0
"""Between two fetches for unknown key names: a flood of forged tokens costs one fetch in this time."""


class Jwks:
    """The signing keys of one issuer."""

    def __init__(
        self, client: IdpClient, jwks_uri: str | None, metadata: Refreshed[Metadata], clock: Clock, metrics: Metrics
    ) -> None:
        """Take where the keys are; None: where the metadata says."""
        self._client = client
        self._jwks_uri = jwks_uri
        self._metadata = metadata
        self._clock = clock
        self._refreshes = metrics.jwks_refreshes
        self._unknown_at: float | None = None
        self.ring: Refreshed[KeyRing] = Refreshed(self._load, clock)

    async def refresh_for_unknown(self) -> None:
        """Fetch again because a token names a key that we do not have, unless that was done a moment ago."""
        now = self._clock.monotonic()
        if self._unknown_at is not None and now - self._unknown_at < UNKNOWN_KID_COOL_DOWN_S:
            await self.ring.join()
            return
        self._unknown_at = now
        await self.ring.refresh()

    async def _load(self) -> Loaded[KeyRing]:
        try:
            loaded = await self._fetch()
        except IdpError:
            self._refreshes.labels("failure").inc()
            raise
        self._refreshes.labels("success").inc()
        return loaded

    async def _fetch(self) -> Loaded[KeyRing]:
        uri = self._jwks_uri or await self._discover()
        try:
            page = await self._client.get(uri)
        except CaUnavailable:
            raise
        except IdpError as error:
            raise KeysUnavailable(f"signing keys: {error}") from error
        try:
            # An unchanged set stays the same object, so that the tokens verified with it need not be verified again.
            return Loaded(read_keys(page.body, self.ring.value), page.max_age_s)
        except ValueError as error:
            raise KeysUnavailable(f"signing keys: {explain(page, error)}") from error

    async def _discover(self) -> str:
        metadata = await self._metadata.get()
        if metadata.jwks_uri is None:
            raise KeysUnavailable(f"the metadata of {metadata.issuer} names no jwks_uri: set it in the policy")
        return metadata.jwks_uri
