"""Workers over a schedule: this module is the deduplicating queue that serves each key serially, many keys at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from postern_operator.controller.schedule import Outcome, Schedule

__all__ = ["Queue"]

K = TypeVar("K")


class Queue(Generic[K]):
    """Runs ``process(key)`` for every added key, once for any number of adds, never twice at a time for one key.

    ``process`` must not raise: it tells its outcome.
    """

    def __init__(
        self,
        process: Callable[[K], Awaitable[Outcome]],
        *,
        schedule: Schedule[K] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process = process
        self._schedule: Schedule[K] = schedule if schedule is not None else Schedule()
        self._clock = clock
        self._changed = asyncio.Event()

    def add(self, key: K) -> None:
        """Ask for a pass over a key, soon. Call it in the event loop's thread."""
        self._schedule.add(key, self._clock())
        self._changed.set()

    async def run(self, workers: int) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._work())

    def depth(self) -> int:
        """Count the keys that wait for a worker."""
        return self._schedule.depth(self._clock())

    def retrying(self) -> int:
        """Count the keys whose latest pass failed."""
        return self._schedule.retrying()

    async def _work(self) -> None:
        while True:
            key = self._schedule.take(self._clock())
            if key is None:
                await self._wait()
                continue
            outcome = await self._process(key)
            self._schedule.done(key, outcome, self._clock())
            self._changed.set()

    async def _wait(self) -> None:
        """Return when the schedule may have something: after a change, or at the time of the earliest key."""
        self._changed.clear()
        due = self._schedule.next_due()
        try:
            async with asyncio.timeout(None if due is None else max(0.0, due - self._clock())):
                await self._changed.wait()
        except TimeoutError:
            return
