"""What a scraper reads, compared with what prometheus-client writes for the same events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Counter as TheirCounter
from prometheus_client import Gauge as TheirGauge
from prometheus_client import Histogram as TheirHistogram
from prometheus_client.parser import text_string_to_metric_families

from postern_sidecar.exposition import Registry
from postern_sidecar.metrics import FacadeMetrics, TrafficMetrics, create_metrics

BOUNDS = (0.00005, 0.1, 1.0, 5.0)
DOCUMENTATION = 'A backslash \\, a line\nbreak and "quotes".'

Families = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]


def families(text: bytes) -> Families:
    """Name, kind, documentation and samples, without the times of creation that only prometheus-client tells."""
    return [
        (f.name, f.type, f.documentation, [(s.name, s.labels, s.value) for s in f.samples])
        for f in text_string_to_metric_families(text.decode())
        if not f.name.endswith("_created")
    ]


@given(
    label_values=st.lists(st.tuples(st.text(), st.sampled_from(["a", 'b"\\', "c\nd"])), max_size=5),
    observed=st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(0, 1e9)), max_size=20),
    level=st.floats(allow_nan=False),
)
def test_same_events_give_the_same_families_as_with_prometheus_client(
    label_values: list[tuple[str, str]], observed: list[float], level: float
) -> None:
    ours, theirs = Registry(), CollectorRegistry()
    counted = ours.counters("x_total", DOCUMENTATION, ("one", "two"))
    gauge = ours.gauge("y", "Level.")
    plain = ours.histogram("z_seconds", "Time.", bounds=BOUNDS)
    labelled = ours.histograms("v_seconds", "Time.", ("one",), bounds=BOUNDS)
    their_counted = TheirCounter("x", DOCUMENTATION, ("one", "two"), registry=theirs)
    their_gauge = TheirGauge("y", "Level.", registry=theirs)
    their_plain = TheirHistogram("z_seconds", "Time.", buckets=BOUNDS, registry=theirs)
    their_labelled = TheirHistogram("v_seconds", "Time.", ("one",), buckets=BOUNDS, registry=theirs)

    for values in label_values:
        counted.labels(*values).inc()
        their_counted.labels(*values).inc()
    gauge.set(level)
    their_gauge.set(level)
    for value in observed:
        plain.observe(value)
        their_plain.observe(value)
        labelled.labels("a").observe(value)
        their_labelled.labels("a").observe(value)

    assert families(ours.text()) == families(generate_latest(theirs))


def test_series_is_shown_at_zero_once_it_is_named() -> None:
    registry = Registry()
    registry.counters("x_total", "X.", ("result",)).labels("failure")
    assert b'x_total{result="failure"} 0.0\n' in registry.text()


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_wrong_number_of_label_values_is_refused(values: tuple[str, ...]) -> None:
    counters = Registry().counters("x_total", "X.", ("one", "two"))
    with pytest.raises(ValueError, match="one, two"):
        counters.labels(*values)


def test_second_metric_of_a_name_is_refused() -> None:
    registry = Registry()
    registry.gauge("x", "X.")
    with pytest.raises(ValueError, match="x already"):
        registry.histogram("x", "X.", bounds=BOUNDS)


def test_names_that_dashboards_know_stay() -> None:
    metrics = create_metrics()
    TrafficMetrics(metrics.registry)
    FacadeMetrics(metrics.registry)
    assert [(name, kind) for name, kind, _, _ in families(metrics.registry.text())] == [
        ("postern_decisions", "counter"),
        ("postern_verification_seconds", "histogram"),
        ("postern_jwks_refreshes", "counter"),
        ("postern_token_cache_lookups", "counter"),
        ("postern_upstream_faults", "counter"),
        ("postern_policy_loads", "counter"),
        ("postern_policy_degraded", "gauge"),
        ("postern_facade_requests", "counter"),
        ("postern_facade_seconds", "histogram"),
    ]
