"""What the kernel says of a process: this module reads its memory and its CPU time."""

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """One look at a process."""

    rss_mb: float
    """Resident memory, pages shared with others counted whole; 1 MB is 2**20 bytes."""
    anonymous_mb: float
    """Of it, what is no page of a file: several processes of one image share the pages of its files."""
    cpu_ms: float
    """User and system time since its start."""


def usage(pid: int | str) -> Usage:
    """Look at a process. Raises OSError when it is gone."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
    # After the name in parentheses, which may hold spaces: utime and stime are the fields 14 and 15 (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return Usage(
        rss_mb=kilobytes["Rss"] / 1024,
        anonymous_mb=kilobytes["Anonymous"] / 1024,
        cpu_ms=1000 * ticks / os.sysconf("SC_CLK_TCK"),
    )
