"""What a benchmark prints: this module is its heading, its table and its last line."""

import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["figures", "heading", "percentile", "spread", "table"]


def heading(title: str, method: str) -> None:
    """Print what is measured, how, on what machine, and how busy that was at the start."""
    load = os.getloadavg()[0]
    print(f"{title}\n\n{method}\n")
    print(f"machine: {_processor()}, {os.cpu_count()} CPUs, Linux {platform.release()}, {datetime.now(UTC):%Y-%m-%d}")
    print(f"load before: {load:.1f} (above 0 others were at work too: trust ratios and CPU times)\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below their columns: the first to the left, the others to the right."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        first, *others = line
        print("  ".join([first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True))]))
    print()


def figures(**values: float) -> None:
    """Print the last line: name=value pairs for programs."""
    print(" ".join(f"{name}={value:.4g}" for name, value in values.items()), flush=True)


def spread(values: Sequence[float]) -> tuple[str, str, str]:
    """Give least, median and greatest as cells."""
    return f"{min(values):.1f}", f"{statistics.median(values):.1f}", f"{max(values):.1f}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the value that so many percent of the values do not exceed (nearest rank). values is not empty."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
