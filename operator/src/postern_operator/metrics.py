"""What the operator counts: this module is every metric, in base units and with closed label sets."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

__all__ = ["Metrics", "exposition", "metrics"]

_CALL_BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 10)
_ADMISSION_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5)


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of one process; made once by the composition root."""

    registry: CollectorRegistry
    api_calls: Histogram
    """Seconds of calls to the API server, by HTTP method and code ('error': no answer)."""
    reconciles: Counter
    """Passes over a policy, by result: settled, unsettled, conflict, unavailable, refused, failed."""
    reconcile_seconds: Histogram
    queue_depth: Gauge
    queue_retrying: Gauge
    sweep_seconds: Gauge
    """Duration of the latest complete pass over the cluster's lists."""
    sweep_timestamp: Gauge
    """When the latest complete list of the cluster was read, seconds since 1970; an old one: a blind controller."""
    events_dropped: Counter
    loop_lag_seconds: Gauge
    certificate_not_after: Gauge
    """Expiry of the certificates, seconds since 1970, by kind: authority, leaf."""
    admissions: Counter
    """Admission requests, by path (pods, workloads) and outcome."""
    admission_seconds: Histogram
    admissions_in_flight: Gauge

    def observe_call(self, method: str, code: str, seconds: float) -> None:
        """Record a call to the API server (a cluster.transport.Observer)."""
        self.api_calls.labels(method, code).observe(seconds)


def metrics() -> Metrics:
    """Make all metrics in a registry of their own."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    gauge = _gauge(registry)
    return Metrics(
        registry=registry,
        api_calls=Histogram(
            "postern_operator_api_call_seconds",
            "Calls to the API server.",
            ("method", "code"),
            buckets=_CALL_BUCKETS_S,
            registry=registry,
        ),
        reconciles=Counter("postern_operator_reconciles", "Passes over a policy.", ("result",), registry=registry),
        reconcile_seconds=Histogram(
            "postern_operator_reconcile_seconds", "Duration of a pass.", buckets=_CALL_BUCKETS_S, registry=registry
        ),
        queue_depth=gauge("postern_operator_queue_depth", "Policies due for a pass."),
        queue_retrying=gauge("postern_operator_queue_retrying", "Policies whose latest pass failed."),
        sweep_seconds=gauge("postern_operator_sweep_seconds", "Duration of reading the cluster's lists."),
        sweep_timestamp=gauge("postern_operator_sweep_timestamp_seconds", "When the lists were read completely."),
        events_dropped=Counter("postern_operator_events_dropped", "Events that could not be sent.", registry=registry),
        loop_lag_seconds=gauge("postern_operator_loop_lag_seconds", "Delay of the event loop's latest heartbeat."),
        certificate_not_after=gauge("postern_operator_certificate_not_after_seconds", "Expiry.", ("kind",)),
        admissions=Counter("postern_admissions", "Admission requests.", ("path", "outcome"), registry=registry),
        admission_seconds=Histogram(
            "postern_admission_seconds", "Time to decide.", ("path",), buckets=_ADMISSION_BUCKETS_S, registry=registry
        ),
        admissions_in_flight=gauge("postern_admissions_in_flight", "Admission requests being decided."),
    )


def _gauge(registry: CollectorRegistry) -> Callable[..., Gauge]:
    def make(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=registry)

    return make


def exposition(registry: CollectorRegistry) -> bytes:
    """Give the Prometheus text format."""
    return generate_latest(registry)
