"""Who does this token speak for? This module answers, from the cache of verified tokens or by verifying."""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import structlog

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.errors import IdpError
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Refreshed
from postern_sidecar.metrics import Metrics
from postern_sidecar.outcome import Invalid, Principal, Reason, Unavailable, Valid, Verification
from postern_sidecar.tokens.cache import VerifiedTokens
from postern_sidecar.tokens.claims import read_identity
from postern_sidecar.tokens.identity_headers import identity_headers
from postern_sidecar.tokens.jwks import Jwks
from postern_sidecar.tokens.jwt import Header, read_header, verify
from postern_sidecar.tokens.registered import Expected

__all__ = ["Verifier"]


class Verifier:
    """Verifies the tokens of one policy."""

    def __init__(self, config: SidecarConfig, metadata: Refreshed[Metadata], jwks: Jwks, metrics: Metrics) -> None:
        self._config = config
        self._algorithms = frozenset(config.verification.algorithms)
        self._metadata = metadata
        self._jwks = jwks
        self._metrics = metrics
        self._verified = VerifiedTokens()

    def __len__(self) -> int:
        """Number of verified tokens that are held."""
        return len(self._verified)

    @property
    def issuer(self) -> str:
        """The issuer's name as its metadata spells it; as configured while that was never read."""
        metadata = self._metadata.value
        return self._config.issuer.issuer if metadata is None else metadata.issuer

    async def verify(self, token: bytes, now: float) -> Verification:
        """Verify a token. now is in epoch seconds; a token in the cache is good until its exp."""
        digest = hashlib.sha256(token).digest()
        cached = self._verified.get(digest, self._jwks.ring.value, now)
        self._metrics.token_cache_lookups.labels("miss" if cached is None else "hit").inc()
        if cached is not None:
            return Valid(cached)
        started = time.perf_counter()
        claims = await self._claims(token, now)
        self._metrics.verification_seconds.observe(time.perf_counter() - started)
        if isinstance(claims, Invalid | Unavailable):
            return claims
        principal = self._principal(claims)
        self._verified.put(digest, self._jwks.ring.value, principal)
        return Valid(principal)

    async def _claims(self, token: bytes, now: float) -> Mapping[str, Any] | Invalid | Unavailable:
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
        return Expected(self.issuer, frozenset(rules.audiences), rules.audience_required, rules.leeway_s)

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        identity = read_identity(claims, self._config.claims)
        headers, dropped = identity_headers(identity, claims, self._config.forward)
        if dropped:
            structlog.get_logger("postern.tokens").warning("identity headers are too long and not sent", names=dropped)
        return Principal(
            issuer=self.issuer,
            subject=claims.get("sub", ""),
            client_id=claims.get("client_id", claims.get("azp")),
            scopes=frozenset(identity.scopes),
            expires_at=claims["exp"],
            headers=tuple(headers),
        )
