"""Who does this token speak for? This module answers, from the cache of verified tokens or by asking their source."""

import hashlib
import time

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.logs import get_logger
from postern_sidecar.metrics import Metrics
from postern_sidecar.outcome import Invalid, Principal, Unavailable, Valid, Verification
from postern_sidecar.tokens.cache import VerifiedTokens
from postern_sidecar.tokens.claims import read_identity
from postern_sidecar.tokens.identity_headers import identity_headers
from postern_sidecar.tokens.source import Evidence, Source

__all__ = ["Verifier"]


class Verifier:
    """Verifies the tokens of one policy."""

    def __init__(self, config: SidecarConfig, source: Source, metrics: Metrics) -> None:
        self._config = config
        self._source = source
        self._metrics = metrics
        self._verified = VerifiedTokens()

    def __len__(self) -> int:
        """Number of verified tokens that are held."""
        return len(self._verified)

    def adopt(self, previous: "Verifier") -> None:
        """Take over what a previous one verified; it must have judged by the same rules and sources."""
        self._verified = previous._verified  # noqa: SLF001 - of the same class

    async def verify(self, token: bytes, now: float) -> Verification:
        """Verify a token. now is in epoch seconds; a token in the cache is good for as long as its source said."""
        digest = hashlib.sha256(token).digest()
        cached = self._verified.get(digest, self._source.basis, now)
        self._metrics.token_cache_lookups.labels("miss" if cached is None else "hit").inc()
        if cached is not None:
            return Valid(cached)
        started = time.perf_counter()
        evidence = await self._source.read(token, now)
        self._metrics.verification_seconds.observe(time.perf_counter() - started)
        if isinstance(evidence, Invalid | Unavailable):
            return evidence
        principal = self._principal(evidence, token)
        self._verified.put(digest, self._source.basis, principal)
        return Valid(principal)

    def _principal(self, evidence: Evidence, token: bytes) -> Principal:
        claims = evidence.claims
        identity = read_identity(claims, self._config.claims, evidence.scopes)
        headers, dropped = identity_headers(identity, claims, self._config.forward)
        if dropped:
            get_logger("postern.tokens").warning("identity headers are too long and not sent", names=dropped)
        return Principal(
            issuer=evidence.issuer,
            subject=claims.get("sub", ""),
            client_id=claims.get("client_id", claims.get("azp")),
            scopes=frozenset(identity.scopes),
            expires_at=evidence.trusted_until,
            headers=tuple(headers),
            authorization=self._authorization(evidence, token),
        )

    def _authorization(self, evidence: Evidence, token: bytes) -> bytes | None:
        match self._config.forward.access_token:
            case "AsReceived":
                return b"Bearer " + token
            case "Upstream":
                return b"Bearer " + evidence.upstream_token if evidence.upstream_token else None
            case _:
                return None
