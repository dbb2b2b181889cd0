"""One read for all who wait for the same: this module bounds what a burst of admissions asks of the API server.

It is no cache: each caller gets what was read after it asked. While a read runs, those who come later gather for the
next one, so that of each key one read runs and at most one more is to follow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["SharedReads"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Turn(Generic[Value]):
    """One read, for all who gathered before it began."""

    reader: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the member that reads; should it be cancelled meanwhile, the next member reads anew."""
    outcome: "asyncio.Future[Value]" = field(default_factory=asyncio.Future)


@dataclass(slots=True)
class _Line(Generic[Value]):
    """All who wait for the same key."""

    running: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a read runs."""
    gathering: _Turn[Value] = field(default_factory=_Turn)
    """The turn whose read has not begun."""
    members: int = 0


class SharedReads(Generic[Key, Value]):
    """Reads by key. Callers share the value, so none may change it."""

    def __init__(self, read: Callable[[Key], Awaitable[Value]]) -> None:
        self._read = read
        self._lines: dict[Key, _Line[Value]] = {}

    async def get(self, key: Key) -> Value:
        """Give what a read that began after this call gave. Raises what that read raised, as for all who shared it.

        Takes the time of two reads at most, the one that ran already and its own, unless a caller that read for others
        was cancelled.
        """
        line = self._lines.setdefault(key, _Line())
        line.members += 1
        try:
            return await self._in_turn(key, line, line.gathering)
        finally:
            line.members -= 1
            if not line.members:
                del self._lines[key]

    async def _in_turn(self, key: Key, line: _Line[Value], turn: _Turn[Value]) -> Value:
        async with turn.reader:
            if not turn.outcome.done():
                async with line.running:
                    await asyncio.sleep(0)  # those of the same burst, whose requests the loop holds ready, join
                    if line.gathering is turn:
                        line.gathering = _Turn()  # whoever asks from here on asks after the read began
                    try:
                        turn.outcome.set_result(await self._read(key))
                    except Exception as error:  # noqa: BLE001 - raised again below, for each member of the turn
                        turn.outcome.set_exception(error)
        return turn.outcome.result()
