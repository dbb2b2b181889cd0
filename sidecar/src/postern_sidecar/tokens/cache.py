"""Tokens that were verified before: this module remembers them by their SHA-256, for as long as they stay good."""

from cachetools import LRUCache

from postern_sidecar.outcome import Principal

__all__ = ["CACHE_BYTES", "VerifiedTokens"]

CACHE_BYTES = 16 * 1024 * 1024
"""Room for about 10,000 usual tokens. In bytes, for a token may carry 16 KiB of claims or thousands of scopes, and its
holder mints as many as the issuer lets him."""
_ENTRY_BYTES = 1024
_SCOPE_BYTES = 128


class VerifiedTokens:
    """Bound to what the verdicts rest upon, by identity.

    With other keys all is forgotten, since a withdrawn key's tokens are good no longer.
    """

    def __init__(self, size: int = CACHE_BYTES) -> None:
        self._principals: LRUCache[bytes, Principal] = LRUCache(size, getsizeof=_weight)
        self._basis: object = None

    def __len__(self) -> int:
        return len(self._principals)

    def get(self, digest: bytes, basis: object, now: float) -> Principal | None:
        """Give who the token of this digest speaks for; None: not known, or no longer to be trusted."""
        self._keep_to(basis)
        principal = self._principals.get(digest)
        return principal if principal is not None and now < principal.expires_at else None

    def put(self, digest: bytes, basis: object, principal: Principal) -> None:
        """Remember a token that was verified on this basis."""
        self._keep_to(basis)
        self._principals[digest] = principal

    def _keep_to(self, basis: object) -> None:
        if basis is not self._basis:
            self._principals.clear()
            self._basis = basis


def _weight(principal: Principal) -> int:
    """About what an entry takes, in bytes."""
    headers = sum(len(name) + len(value) for name, value in principal.headers)
    passed_on = len(principal.authorization or b"")
    return _ENTRY_BYTES + headers + passed_on + _SCOPE_BYTES * len(principal.scopes)
