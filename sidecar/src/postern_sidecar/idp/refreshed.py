"""A document that outlives its source: this module is the cache for what the identity provider publishes.

One fetch at a time, however many wait for it, and none of them can cancel it. A failed refresh leaves the old value in
use until it is a day old. After a failure nobody tries again for a few seconds, so that a flood of requests costs the
identity provider nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from postern_sidecar.errors import IdpError
from postern_sidecar.logs import get_logger

__all__ = [
    "DEFAULT_INTERVAL_S",
    "FAILURE_COOL_DOWN_S",
    "MAX_RETRY_S",
    "STALE_S",
    "Clock",
    "Loaded",
    "Refreshed",
    "State",
]

Value = TypeVar("Value")

DEFAULT_INTERVAL_S = 300.0
"""Between two refreshes when the answer states no max-age."""
MIN_INTERVAL_S = 60.0
MAX_INTERVAL_S = 3600.0
RETRY_S = 5.0
"""Until the next refresh after the first failure; doubled with each further one."""
MAX_RETRY_S = 60.0
STALE_S = 24 * 3600.0
"""How long a value serves while refreshes fail; beyond, a withdrawn key would be trusted for too long."""
FAILURE_COOL_DOWN_S = 5.0
"""After a failure without any value: how long requests are answered without another try."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from."""

    monotonic: Callable[[], float]
    """Seconds; for intervals."""
    wall: Callable[[], float]
    """Epoch seconds; for reports."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Value]):
    """What a load gives."""

    value: Value
    max_age_s: int | None
    """How long the source vouches for it; None: not stated."""


@dataclass(frozen=True, slots=True)
class Held(Generic[Value]):
    """A good value."""

    value: Value
    at: float
    """Monotonic time of the load that gave it."""
    wall: float
    """The same in epoch seconds."""
    interval_s: float
    """Until it should be refreshed."""


@dataclass(frozen=True, slots=True)
class State(Generic[Value]):
    """All that is known; replaced as a whole."""

    held: Held[Value] | None = None
    error: IdpError | None = None
    """Of the latest load; None: it succeeded, or there was none."""
    failures: int = 0
    """Loads failed since the latest good one."""
    attempted_at: float | None = None
    """Monotonic time at which the latest load ended."""


class Refreshed(Generic[Value]):
    """Holds the latest good value of one document."""

    def __init__(self, load: Callable[[], Awaitable[Loaded[Value]]], clock: Clock) -> None:
        """Take the coroutine function that fetches; it raises IdpError when it cannot."""
        self._load = load
        self._clock = clock
        self._flight: asyncio.Task[None] | None = None
        self.state: State[Value] = State()

    @property
    def value(self) -> Value | None:
        """The latest good value; None: never loaded, or too old to trust."""
        held = self.state.held
        if held is None or self._clock.monotonic() - held.at > STALE_S:
            return None
        return held.value

    @property
    def error(self) -> IdpError | None:
        """What the latest load failed with; None: it succeeded, or there was none."""
        return self.state.error

    @property
    def last_success(self) -> float | None:
        """Epoch seconds of the latest good load."""
        return None if self.state.held is None else self.state.held.wall

    @property
    def attempted(self) -> bool:
        """Whether a load was completed, well or not."""
        return self.state.held is not None or self.state.error is not None

    async def get(self) -> Value:
        """Give the value, loading it if there is none. Raises the IdpError of the latest load."""
        value = self.value
        if value is None and not self._is_cooling():
            await self.refresh()
            value = self.value
        if value is None:
            # The same error is raised for many: without this its traceback would grow with each.
            raise (self.state.error or IdpError("never loaded")).with_traceback(None)
        return value

    async def refresh(self) -> None:
        """Load now, or join the load under way. Does not raise IdpError: see error."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._attempt())
        await self.join()

    async def join(self) -> None:
        """Wait for the load under way, if there is one."""
        if self._flight is not None:
            # Shielded: a client that goes away must not take the fetch with it that others wait for.
            await asyncio.shield(self._flight)

    def due_in_s(self) -> float:
        """Seconds until the next refresh; 0: now."""
        state, now = self.state, self._clock.monotonic()
        if state.error is not None and state.attempted_at is not None:
            retry_s = min(RETRY_S * 2.0 ** min(state.failures - 1, 10), MAX_RETRY_S)
            return max(0.0, state.attempted_at + retry_s - now)
        if state.held is None:
            return 0.0
        return max(0.0, state.held.at + state.held.interval_s - now)

    async def aclose(self) -> None:
        """Stop a load under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.wait([self._flight])

    def _is_cooling(self) -> bool:
        error, at = self.state.error, self.state.attempted_at
        return error is not None and at is not None and self._clock.monotonic() - at < FAILURE_COOL_DOWN_S

    async def _attempt(self) -> None:
        try:
            loaded = await self._load()
        except IdpError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - a background task: whatever happens, the next refresh must come
            get_logger("postern.idp").exception("refresh failed unexpectedly")
            self._fail(IdpError(f"unexpected {type(error).__name__}; the log has the details"))
        else:
            now = self._clock.monotonic()
            held = Held(loaded.value, now, self._clock.wall(), _interval(loaded.max_age_s))
            self.state = State(held, attempted_at=now)
        finally:
            self._flight = None

    def _fail(self, error: IdpError) -> None:
        before = self.state
        if str(error) != str(before.error):
            # Once for each cause: an outage would fill the log otherwise.
            get_logger("postern.idp").warning("refresh failed", reason=error.reason.value, cause=str(error))
        # A copy: the original keeps the frames alive that it passed through.
        self.state = State(before.held, type(error)(str(error)), before.failures + 1, self._clock.monotonic())


def _interval(max_age_s: int | None) -> float:
    if max_age_s is None:
        return DEFAULT_INTERVAL_S
    return min(max(float(max_age_s), MIN_INTERVAL_S), MAX_INTERVAL_S)
