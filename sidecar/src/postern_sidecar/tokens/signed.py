"""JWT access tokens of the identity provider: this module is the source that verifies them with its published keys."""

from collections.abc import Mapping
from typing import Any

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.errors import IdpError
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Refreshed
from postern_sidecar.outcome import Invalid, Reason, Unavailable
from postern_sidecar.tokens.jwks import Jwks
from postern_sidecar.tokens.jwt import Header, read_header, verify
from postern_sidecar.tokens.registered import Expected
from postern_sidecar.tokens.source import Evidence

__all__ = ["SignedTokens", "issuer_name", "issuer_names"]


class SignedTokens:
    """The source of tokens that the identity provider signs."""

    def __init__(self, config: SidecarConfig, metadata: Refreshed[Metadata], jwks: Jwks) -> None:
        self._config = config
        self._algorithms = frozenset(config.verification.algorithms)
        self._metadata = metadata
        self._jwks = jwks

    @property
    def basis(self) -> object:
        """The key set."""
        return self._jwks.ring.value

    def unready_reason(self) -> str | None:
        """Whether keys were loaded at least once, and metadata at least tried: it says how the issuer is spelled."""
        needs_metadata = bool(self._config.issuer.metadata_urls)
        if self._jwks.ring.last_success is not None and (self._metadata.attempted or not needs_metadata):
            return None
        return "the signing keys of the issuer were not loaded yet"

    @property
    def last_error(self) -> str | None:
        """Nobody is asked about a token; fetches of the keys are reported by themselves."""
        return None

    async def read(self, token: bytes, now: float) -> Evidence | Invalid | Unavailable:
        """Verify a token; now is in epoch seconds."""
        claims = await self.claims(token, now)
        if isinstance(claims, Invalid | Unavailable):
            return claims
        return Evidence(
            claims,
            issuer=issuer_name(self._config, self._metadata.value),
            trusted_until=claims["exp"],
            upstream_token=token,
        )

    async def claims(self, token: bytes, now: float) -> Mapping[str, Any] | Invalid | Unavailable:
        """Verify a token and give all its claims."""
        header = read_header(token, self._algorithms)
        if isinstance(header, Reason):
            return Invalid(header)
        try:
            ring = await self._jwks.ring.get()
        except IdpError as error:
            return Unavailable(error.reason)
        result = verify(token, header, ring, self._expected(), now)
        if result is Reason.UNKNOWN_KEY:
            return await self._try_new_keys(token, header, now)
        return Invalid(result) if isinstance(result, Reason) else result

    async def _try_new_keys(
        self, token: bytes, header: Header, now: float
    ) -> Mapping[str, Any] | Invalid | Unavailable:
        await self._jwks.refresh_for_unknown()
        ring = self._jwks.ring.value
        error = self._jwks.ring.error
        result = Reason.UNKNOWN_KEY if ring is None else verify(token, header, ring, self._expected(), now)
        if result is Reason.UNKNOWN_KEY and error is not None:
            # The key may be new: only an issuer that answers can tell us that it is not its own.
            return Unavailable(error.reason)
        return Invalid(result) if isinstance(result, Reason) else result

    def _expected(self) -> Expected:
        rules = self._config.verification
        names = issuer_names(self._config, self._metadata.value)
        return Expected(
            names,
            frozenset(rules.audiences),
            audience_required=rules.audience_required,
            client_id=rules.client_id,
            leeway_s=rules.leeway_s,
        )


def issuer_names(config: SidecarConfig, metadata: Metadata | None) -> frozenset[str]:
    """Give the values of iss that are the identity provider's, byte for byte.

    Its own is as its metadata spells it; as configured while that was never read.
    """
    return frozenset((issuer_name(config, metadata), *config.issuer.other_issuers))


def issuer_name(config: SidecarConfig, metadata: Metadata | None) -> str:
    """Give the one name by which we know the identity provider, whichever of its names a token has."""
    return config.issuer.issuer if metadata is None else metadata.issuer
