"""How often something may be done: this module counts by token buckets, one for each key."""

from cachetools import LRUCache

__all__ = ["Allowances"]

_MAX_KEYS = 1000


class Allowances:
    """Buckets that hold up to ``burst`` and gain ``per_s`` each second."""

    def __init__(self, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_MAX_KEYS)

    def take(self, key: str, now: float) -> bool:
        """Take one from the bucket of the key, if there is one left; now is in seconds."""
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + max(0.0, now - at) * self._per_s)
        self._buckets[key] = (left - 1 if left >= 1 else left, now)
        return left >= 1
