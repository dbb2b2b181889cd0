"""Numbers for Prometheus: this module counts, and writes what it counted in the text format 0.0.4.

Only the kinds that the sidecar has. prometheus-client would do, but importing it brings an HTTP server, WSGI and others
along: 1.5 MB in each pod. One event loop counts and reads, so nothing is locked.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, Protocol, TypeVar

__all__ = ["Counter", "Family", "Gauge", "Histogram", "Registry"]

_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Sample = tuple[str, tuple[str, ...], float]
"""What is added to the metric's name, labels as name="value", value."""


class Series(Protocol):
    """What is counted for one combination of labels, or for a metric without labels."""

    def samples(self) -> Iterator[Sample]:
        """Give its lines."""


class Counter:
    """A number that only grows."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0.0

    def inc(self) -> None:
        """Count one."""
        self._value += 1.0

    def samples(self) -> Iterator[Sample]:
        """Give its one line."""
        yield "", (), self._value


class Gauge:
    """A number that goes up and down."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value = 0.0

    def set(self, value: float) -> None:
        """Replace it."""
        self._value = float(value)

    def samples(self) -> Iterator[Sample]:
        """Give its one line."""
        yield "", (), self._value


class Histogram:
    """How many observations were within each of some bounds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Take the bounds, ascending; above the last one there is one more bucket."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count an observation; one that equals a bound is within it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def samples(self) -> Iterator[Sample]:
        """Give the buckets, each with all below it, then count and sum."""
        bounds = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(self._counts), strict=True):
            yield "_bucket", (f'le="{bound}"',), float(count)
        yield "_count", (), float(sum(self._counts))
        yield "_sum", (), self._sum


Kind = TypeVar("Kind", bound=Series)


class Family(Generic[Kind]):
    """One series for each combination of label values; these come from closed sets, for none is ever forgotten."""

    def __init__(self, labels: Sequence[str], create: Callable[[], Kind]) -> None:
        """Take the names of the labels, and what gives a series at 0."""
        self._labels = labels
        self._create = create
        self._series: dict[tuple[str, ...], Kind] = {}

    def labels(self, *values: str) -> Kind:
        """Give the series of these values, in the order of the names. Raises ValueError: too many or too few."""
        series = self._series.get(values)
        if series is None:
            if len(values) != len(self._labels):
                raise ValueError(f"a value is needed for each of {', '.join(self._labels)}, not {len(values)}")
            series = self._series[values] = self._create()
        return series

    def samples(self) -> Iterator[Sample]:
        """Give the lines of all series."""
        for values, series in self._series.items():
            pairs = zip(self._labels, values, strict=True)
            own = tuple(f'{name}="{value.translate(_IN_LABEL)}"' for name, value in pairs)
            for suffix, labels, value in series.samples():
                yield suffix, own + labels, value


class Registry:
    """The metrics of one process, in the order in which they were made; each method raises ValueError: name taken."""

    def __init__(self) -> None:
        self._metrics: dict[str, tuple[str, Series]] = {}

    def counters(self, name: str, documentation: str, labels: Sequence[str]) -> Family[Counter]:
        """Give new counters; their name ends in _total."""
        counters = Family(labels, Counter)
        self._add(name, "counter", documentation, counters)
        return counters

    def gauge(self, name: str, documentation: str) -> Gauge:
        """Give a new gauge."""
        gauge = Gauge()
        self._add(name, "gauge", documentation, gauge)
        return gauge

    def histogram(self, name: str, documentation: str, *, bounds: Sequence[float]) -> Histogram:
        """Give a new histogram."""
        histogram = Histogram(bounds)
        self._add(name, "histogram", documentation, histogram)
        return histogram

    def histograms(
        self, name: str, documentation: str, labels: Sequence[str], *, bounds: Sequence[float]
    ) -> Family[Histogram]:
        """Give new histograms with the same bounds."""
        histograms = Family(labels, lambda: Histogram(bounds))
        self._add(name, "histogram", documentation, histograms)
        return histograms

    def text(self) -> bytes:
        """Give everything as a scraper reads it."""
        return "".join(f"{line}\n" for line in self._lines()).encode()

    def _add(self, name: str, kind: str, documentation: str, metric: Series) -> None:
        if name in self._metrics:
            raise ValueError(f"there is a metric {name} already")
        self._metrics[name] = (f"# HELP {name} {documentation.translate(_IN_HELP)}\n# TYPE {name} {kind}", metric)

    def _lines(self) -> Iterator[str]:
        for name, (head, metric) in self._metrics.items():
            yield head
            for suffix, labels, value in metric.samples():
                yield f"{name}{suffix}{{{','.join(labels)}}} {value!r}" if labels else f"{name}{suffix} {value!r}"
