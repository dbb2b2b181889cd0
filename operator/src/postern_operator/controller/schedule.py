"""Which key is due when: this module is the queue's order, without tasks or clock of its own."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar, assert_never

__all__ = ["Outcome", "Schedule"]

_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 300.0
# API Priority and Fairness answers 429 with Retry-After: 1, which the first retry honours.
_FIRST_LOOK_S, _LAST_LOOK_S = 2.0, 60.0
_JITTER = 0.2
_MAX_DOUBLINGS = 16

K = TypeVar("K")


class Outcome(StrEnum):
    """What a pass over a key came to."""

    SETTLED = "settled"
    """Nothing to do until something happens."""
    UNSETTLED = "unsettled"
    """All done, but the world has not followed yet: look again soon."""
    CONFLICT = "conflict"
    """Somebody else wrote meanwhile: at once again, the first time."""
    UNAVAILABLE = "unavailable"
    """The API server could not be reached: back off."""
    REFUSED = "refused"
    """The API server refused a write: back off; somebody has to change something."""
    FAILED = "failed"
    """A defect of ours: back off."""


@dataclass(slots=True)
class _Entry:
    failures: int = 0
    looks: int = 0
    due: float | None = None
    """None: not waiting."""
    running: bool = False


@dataclass(slots=True)
class Schedule(Generic[K]):
    """Keys with the time at which each is due. A key is there once, and is never handed out while it is worked on.

    Times are seconds of one monotonic clock that the caller reads.
    """

    random: Callable[[], float] = random.random
    """For jitter; uniform in [0, 1)."""
    _entries: dict[K, _Entry] = field(default_factory=dict)
    _heap: list[tuple[float, int, K]] = field(default_factory=list)
    _serial: int = 0

    def add(self, key: K, now: float) -> None:
        """Make a key due now because something happened to it; what it had to wait for is void."""
        entry = self._entries.setdefault(key, _Entry())
        entry.looks = 0
        self._put(key, entry, now)

    def take(self, now: float) -> K | None:
        """Hand out the key that is due the longest; None when there is none. ``done`` must follow."""
        due = self.next_due()
        if due is None or due > now:
            return None
        _, _, key = heapq.heappop(self._heap)
        entry = self._entries[key]
        entry.running, entry.due = True, None
        return key

    def done(self, key: K, outcome: Outcome, now: float) -> None:
        """Take a key back. What was added meanwhile is due at its own time or earlier."""
        entry = self._entries[key]
        entry.running = False
        wait = self._wait(entry, outcome)
        times = [t for t in (entry.due, None if wait is None else now + wait) if t is not None]
        if times:
            entry.due = None
            self._put(key, entry, min(times))
        else:
            del self._entries[key]

    def next_due(self) -> float | None:
        """Give the time at which ``take`` has something; None: not before an ``add`` or ``done``."""
        while self._heap:
            due, _, key = self._heap[0]
            entry = self._entries.get(key)
            if entry is not None and entry.due == due and not entry.running:
                return due
            heapq.heappop(self._heap)  # made void by an earlier time for the same key
        return None

    def depth(self, now: float) -> int:
        """Count the keys that are due and wait for a worker."""
        return sum(1 for e in self._entries.values() if not e.running and e.due is not None and e.due <= now)

    def retrying(self) -> int:
        """Count the keys whose latest pass failed."""
        return sum(1 for e in self._entries.values() if e.failures)

    def _put(self, key: K, entry: _Entry, due: float) -> None:
        if entry.due is not None and entry.due <= due:
            return
        entry.due = due
        if not entry.running:
            self._serial += 1
            heapq.heappush(self._heap, (due, self._serial, key))

    def _wait(self, entry: _Entry, outcome: Outcome) -> float | None:
        """Give the seconds to the next pass; None for none of its own."""
        match outcome:
            case Outcome.SETTLED:
                entry.failures = entry.looks = 0
                return None
            case Outcome.UNSETTLED:
                entry.failures = 0
                entry.looks += 1
                return self._backoff(_FIRST_LOOK_S, _LAST_LOOK_S, entry.looks)
            case Outcome.CONFLICT if entry.failures == 0:
                entry.failures = 1
                return 0.0
            case Outcome.CONFLICT | Outcome.UNAVAILABLE | Outcome.REFUSED | Outcome.FAILED:
                entry.failures += 1
                return self._backoff(_FIRST_RETRY_S, _LAST_RETRY_S, entry.failures)
        assert_never(outcome)

    def _backoff(self, first_s: float, last_s: float, count: int) -> float:
        seconds = min(last_s, first_s * 2.0 ** min(count - 1, _MAX_DOUBLINGS))
        return seconds * (1 - _JITTER + 2 * _JITTER * self.random())
