"""Progress lines with the time since the start, and a sign of life during long steps."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

HEARTBEAT_S = 12.0
"""Longest silence during a step; people take a quiet terminal for a hang after about 15 s."""


class Progress:
    """Writes lines like ``[  12.3 s] base image: made in 55.2 s``; several threads may share one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        with self._lock:
            print(f"[{self.elapsed_s():6.1f} s] {text}", file=self._stream, flush=True)

    @contextmanager
    def step(
        self,
        name: str,
        doing: str,
        *,
        detail: Callable[[], str] = str,
        every_s: float = HEARTBEAT_S,
    ) -> Iterator[None]:
        """Announces ``name: doing ...``, repeats it with ``detail()`` while the body runs, and says when it is done.

        A body that raises leaves no "done" line: the error itself is the last word.
        """
        self.say(f"{name}: {doing} ...")
        began = time.monotonic()
        finished = threading.Event()

        def beat() -> None:
            while not finished.wait(every_s):
                self.say(f"{name}: still {doing}, {time.monotonic() - began:.0f} s{detail()}")

        heart = threading.Thread(target=beat, daemon=True)
        heart.start()
        try:
            yield
        finally:
            finished.set()
            heart.join()
        self.say(f"{name}: done in {time.monotonic() - began:.1f} s")
