"""Noticing a new policy: this module is the loop that compares the directory with what it saw last."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from postern_sidecar.policy.load import ConfigFault, Files, Loaded, judge, read

__all__ = ["watch"]


async def watch(
    directory: Path, seen: Files, apply: Callable[[Loaded | ConfigFault], None], *, interval_s: float = 1.0
) -> None:
    """Apply each change of the contents, until cancelled. seen: what is already applied.

    Contents are compared, not times or inodes: it works on any volume, and a swap to the same contents is no change.
    The files are some kilobytes in memory; reading them in the loop takes microseconds.
    """
    while True:
        await asyncio.sleep(interval_s)
        files = read(directory)
        if files != seen:
            seen = files
            apply(judge(directory, files))
