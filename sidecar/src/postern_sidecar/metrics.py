"""What the sidecar counts: this module is the one place where its Prometheus metrics are named.

Base units, closed label sets. Each Metrics has a registry of its own, so that nothing is global.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from postern_sidecar.outcome import Outcome

__all__ = ["FacadeMetrics", "Metrics", "TrafficMetrics", "create_metrics"]


class Metrics:
    """The metrics of one process; made once by create_metrics and passed around."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.decisions = Counter(
            "postern_decisions",
            "Decisions of the gate by outcome and, where the sidecar answered itself, reason (else 'none').",
            ("outcome", "reason"),
            registry=registry,
        )
        self.verification_seconds = Histogram(
            "postern_verification_seconds",
            "Time to verify a token that was not in the cache, waits for keys included.",
            buckets=(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1, 1.0, 5.0),
            registry=registry,
        )
        self.jwks_refreshes = Counter(
            "postern_jwks_refreshes",
            "Fetches of the issuer's signing keys by result: success or failure.",
            ("result",),
            registry=registry,
        )
        self.token_cache_lookups = Counter(
            "postern_token_cache_lookups",
            "Lookups in the cache of verified tokens by result: hit or miss.",
            ("result",),
            registry=registry,
        )
        for outcome in (Outcome.FORWARDED, Outcome.PUBLIC):
            self.decisions.labels(outcome.value, "none")
        for result in ("success", "failure"):
            self.jwks_refreshes.labels(result)
        for result in ("hit", "miss"):
            self.token_cache_lookups.labels(result)


def create_metrics() -> Metrics:
    """Give new metrics on a registry of their own."""
    return Metrics(CollectorRegistry())


class TrafficMetrics:
    """What forwarding and reloading count, on the registry of the same process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.upstream_faults = Counter(
            "postern_upstream_faults",
            "Requests the server gave no usable answer to, by fault.",
            ("fault",),
            registry=registry,
        )
        self.policy_loads = Counter(
            "postern_policy_loads",
            "New contents of the policy directory by result: loaded or refused.",
            ("result",),
            registry=registry,
        )
        self.policy_degraded = Gauge(
            "postern_policy_degraded",
            "1 while the newest contents of the policy directory are not in force, else 0.",
            registry=registry,
        )
        for result in ("loaded", "refused"):
            self.policy_loads.labels(result)


class FacadeMetrics:
    """What the authorization server of mode Proxy counts, on the registry of the same process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "postern_facade_requests",
            "Requests to the endpoints of the authorization server by endpoint and event, mostly an OAuth error code.",
            ("endpoint", "event"),
            registry=registry,
        )
        self.seconds = Histogram(
            "postern_facade_seconds",
            "Time from the complete request to the answer, calls to the identity provider included.",
            ("endpoint",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0),
            registry=registry,
        )
