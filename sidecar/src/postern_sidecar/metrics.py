"""What the sidecar counts: this module is the one place where its Prometheus metrics are named.

Base units, closed label sets. Each Metrics has a registry of its own, so that nothing is global.
"""

from postern_sidecar.exposition import Registry
from postern_sidecar.outcome import Outcome

__all__ = ["FacadeMetrics", "Metrics", "TrafficMetrics", "create_metrics"]


class Metrics:
    """The metrics of one process; made once by create_metrics and passed around."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.decisions = registry.counters(
            "postern_decisions_total",
            "Decisions of the gate by outcome and, where the sidecar answered itself, reason (else 'none').",
            ("outcome", "reason"),
        )
        self.verification_seconds = registry.histogram(
            "postern_verification_seconds",
            "Time to verify a token that was not in the cache, waits for keys included.",
            bounds=(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1, 1.0, 5.0),
        )
        self.jwks_refreshes = registry.counters(
            "postern_jwks_refreshes_total",
            "Fetches of the issuer's signing keys by result: success or failure.",
            ("result",),
        )
        self.token_cache_lookups = registry.counters(
            "postern_token_cache_lookups_total",
            "Lookups in the cache of verified tokens by result: hit or miss.",
            ("result",),
        )
        for outcome in (Outcome.FORWARDED, Outcome.PUBLIC):
            self.decisions.labels(outcome.value, "none")
        for result in ("success", "failure"):
            self.jwks_refreshes.labels(result)
        for result in ("hit", "miss"):
            self.token_cache_lookups.labels(result)


def create_metrics() -> Metrics:
    """Give new metrics on a registry of their own."""
    return Metrics(Registry())


class TrafficMetrics:
    """What forwarding and reloading count, on the registry of the same process."""

    def __init__(self, registry: Registry) -> None:
        self.upstream_faults = registry.counters(
            "postern_upstream_faults_total",
            "Requests the server gave no usable answer to, by fault.",
            ("fault",),
        )
        self.policy_loads = registry.counters(
            "postern_policy_loads_total",
            "New contents of the policy directory by result: loaded or refused.",
            ("result",),
        )
        self.policy_degraded = registry.gauge(
            "postern_policy_degraded",
            "1 while the newest contents of the policy directory are not in force, else 0.",
        )
        for result in ("loaded", "refused"):
            self.policy_loads.labels(result)


class FacadeMetrics:
    """What the authorization server of mode Proxy counts, on the registry of the same process."""

    def __init__(self, registry: Registry) -> None:
        self.requests = registry.counters(
            "postern_facade_requests_total",
            "Requests to the endpoints of the authorization server by endpoint and event, mostly an OAuth error code.",
            ("endpoint", "event"),
        )
        self.seconds = registry.histograms(
            "postern_facade_seconds",
            "Time from the complete request to the answer, calls to the identity provider included.",
            ("endpoint",),
            bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0),
        )
