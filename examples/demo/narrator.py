"""The voice of a story: what is done, the command a user would type, what came back, in plain lines."""

import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

WIDTH = 116


class StepFailed(Exception):
    """A step did not end as the story tells it; the message says what was expected and what was seen."""


class Narrator:
    """Writes a story; steps are numbered as they come."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._steps = 0

    def step(self, title: str) -> None:
        """Begins a step."""
        self._steps += 1
        self._write(f"\n{self._steps}. {title}")

    def does(self, text: str) -> None:
        """Says what happens, in a sentence."""
        for line in textwrap.wrap(text, WIDTH - 3):
            self._write(f"   {line}")

    def command(self, command: str) -> None:
        """Shows what a user would type; several lines are kept as they are."""
        first, *rest = command.splitlines()
        self._write(f"   $ {first}")
        for line in rest:
            self._write(f"     {line}")

    def shows(self, lines: str | Iterable[str]) -> None:
        """Shows what came back."""
        for line in lines.splitlines() if isinstance(lines, str) else lines:
            self._write(f"     | {line}".rstrip())

    def seen(self, text: str) -> None:
        """Says that it came out as told."""
        self._write(f"   OK: {text}")

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def expect(holds: bool, expected: str, seen: object) -> None:
    """Raises ``StepFailed`` unless it ``holds``."""
    if not holds:
        raise StepFailed(f"expected {expected}, but saw: {seen}")
