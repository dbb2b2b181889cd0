"""Runs other programs; their failure becomes a ``SetupError`` that shows the last of what they said."""

import os
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.support.images.errors import SetupError

SHOWN_LINES = 12


def run(
    command: Sequence[str | Path],
    *,
    purpose: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """The standard output of ``command``; ``env`` is added to this process's own environment."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError(f"{purpose}: the program {words[0]} is missing") from error
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-SHOWN_LINES:])
        raise SetupError(f"{purpose} failed with status {done.returncode}:\n{said}")
    return done.stdout


def run_watched(
    command: Sequence[str | Path],
    *,
    on_line: Callable[[str], None],
    purpose: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs ``command`` and hands over every line of its output as it comes."""
    last: deque[str] = deque(maxlen=SHOWN_LINES)
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            last.append(line.rstrip())
            on_line(line.rstrip())
    if process.returncode != 0:
        said = "\n".join(last)
        raise SetupError(f"{purpose} failed with status {process.returncode}:\n{said}")
