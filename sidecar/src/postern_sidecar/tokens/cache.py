"""Tokens that were verified before: this module remembers them by their SHA-256, for as long as they stay good."""

from cachetools import LRUCache

from postern_sidecar.outcome import Principal
from postern_sidecar.tokens.keys import KeyRing

__all__ = ["CACHE_BYTES", "VerifiedTokens"]

CACHE_BYTES = 16 * 1024 * 1024
"""Room for about 10,000 usual tokens. In bytes, for a token may carry 16 KiB of claims or thousands of scopes, and its
holder mints as many as the issuer lets him."""
_ENTRY_BYTES = 1024
_SCOPE_BYTES = 128


class VerifiedTokens:
    """Bound to one key ring: with other keys all is forgotten, since a withdrawn key's tokens are good no longer."""

    def __init__(self, size: int = CACHE_BYTES) -> None:
        self._principals: LRUCache[bytes, Principal] = LRUCache(size, getsizeof=_weight)
        self._ring: KeyRing | None = None

    def __len__(self) -> int:
        return len(self._principals)

    def get(self, digest: bytes, ring: KeyRing | None, now: float) -> Principal | None:
        """Give who the token of this digest speaks for; None: not known, or past its exp. Without a ring nobody is."""
        self._keep_to(ring)
        principal = self._principals.get(digest)
        return principal if principal is not None and now < principal.expires_at else None

    def put(self, digest: bytes, ring: KeyRing | None, principal: Principal) -> None:
        """Remember a token that was verified with the ring."""
        self._keep_to(ring)
        self._principals[digest] = principal

    def _keep_to(self, ring: KeyRing | None) -> None:
        if ring is not self._ring:
            self._principals.clear()
            self._ring = ring


def _weight(principal: Principal) -> int:
    """About what an entry takes, in bytes."""
    headers = sum(len(name) + len(value) for name, value in principal.headers)
    return _ENTRY_BYTES + headers + _SCOPE_BYTES * len(principal.scopes)
