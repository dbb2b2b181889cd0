"""What the pod webhook adds to the creation of a pod: this module measures it, ``python -m benchmarks.admission``."""

import argparse
import math
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.node import NAMESPACE, OPERATOR_NAMESPACE, Api, Figures, Manifest, install, samples, scrape, total
from benchmarks.report import figures, heading, percentile, table
from tests.support.kube import Kube

METHOD = """\
Clients on a connection each create pods with dryRun=All, in turn without and with the label: the same API server,
at the same time. The webhook's own time is from its metrics (two replicas), the API server's view of the call is from
apiserver_admission_webhook_admission_duration_seconds; both are histograms, read as Prometheus reads them: a quantile
is interpolated within its bucket. The share within 50 ms is exact, since a bucket ends there."""
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All"
SEEN = "apiserver_admission_webhook_admission_duration_seconds"
OWN = "postern_admission_seconds"
READS = "postern_operator_api_call_seconds"
BOUND_MS = 50.0


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one creation each, as the clients saw them."""

    plain: list[float] = field(default_factory=list)
    labelled: list[float] = field(default_factory=list)


def _pod(*, labelled: bool) -> Manifest:
    metadata: Manifest = {"generateName": "bench-"}
    if labelled:
        metadata |= {"labels": {"postern.dev/inject": "true"}, "annotations": {"postern.dev/policy": "weather"}}
    port = {"containerPort": 8000}
    probe = {"httpGet": {"path": "/health", "port": 8000}}
    container = {"name": "app", "image": "app", "ports": [port], "readinessProbe": probe}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def _create(times: Times, count: int, barrier: threading.Barrier) -> None:
    api = Api()
    kinds = [(times.plain, _pod(labelled=False)), (times.labelled, _pod(labelled=True))]
    for _, pod in kinds:
        api.must("POST", PODS, pod)  # opens the connections
    barrier.wait()
    for _ in range(count):
        for seen, pod in kinds:
            began = time.perf_counter()
            api.must("POST", PODS, pod)
            seen.append(1000 * (time.perf_counter() - began))


def _run(clients: int, count: int) -> Times:
    times, barrier = Times(), threading.Barrier(clients)
    threads = [threading.Thread(target=_create, args=(times, count, barrier)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times.labelled) != clients * count:
        raise RuntimeError("a client failed: see above")
    return times


def _buckets(api: Api, kube: Kube) -> dict[str, dict[float, float]]:
    """Give the cumulated buckets of the histograms: upper bound in ms -> count."""
    replicas = [pod["metadata"]["name"] for pod in kube.pods("app.kubernetes.io/component=webhook")]
    own = [scrape(api, replica) for replica in replicas]
    _, text = api.ask("GET", "/metrics")
    return {
        OWN: _counted(own, OWN, 'path="pods"'),
        READS: _counted(own, READS, 'method="GET"'),
        SEEN: _counted([samples(text)], SEEN, 'name="pods.postern.dev"'),
    }


def _counted(sources: Sequence[Figures], name: str, label: str) -> dict[float, float]:
    keys = {key for source in sources for key in source if key.startswith(f"{name}_bucket{{") and label in key}
    bounds = {key.partition('le="')[2].partition('"')[0] for key in keys}
    return {
        1000 * float(bound): sum(total(source, f"{name}_bucket", label, f'le="{bound}"') for source in sources)
        for bound in bounds
    }


def _quantile(before: dict[float, float], after: dict[float, float], percent: float) -> float:
    """Give the quantile of what was counted in between, in ms; the last finite bound when it lies beyond."""
    grown = sorted((bound, count - before.get(bound, 0)) for bound, count in after.items())
    rank = grown[-1][1] * percent / 100
    lower, below = 0.0, 0.0
    for bound, count in grown:
        if count >= rank:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / max(count - below, 1)
        lower, below = bound, count
    return lower


def _grown(before: dict[float, float], after: dict[float, float], bound_ms: float = math.inf) -> float:
    """Give how many of what was counted in between lie within a bound that is a bucket's."""
    return after[bound_ms] - before.get(bound_ms, 0)


def _row(name: str, values: Sequence[float]) -> tuple[str, ...]:
    return name, *(f"{percentile(values, percent):.1f}" for percent in (50, 90, 99))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admission", description=__doc__)
    parser.add_argument("--pods", type=int, default=25, help="of each kind for each client (default 25)")
    parser.add_argument("--clients", type=int, default=20, help="at the same time (default 20)")
    options = parser.parse_args()
    heading("Admission of pods", METHOD)
    with tempfile.TemporaryDirectory() as folder:
        system = install(Path(folder), scene=True).within(OPERATOR_NAMESPACE)
    api = Api()
    before = _buckets(api, system)
    times = _run(options.clients, options.pods)
    after = _buckets(api, system)
    percents = (50, 90, 99)
    within = 100 * _grown(before[OWN], after[OWN], BOUND_MS) / _grown(before[OWN], after[OWN])
    own = [_quantile(before[OWN], after[OWN], percent) for percent in percents]
    seen = [_quantile(before[SEEN], after[SEEN], percent) for percent in percents]
    rows = [_row("create, unlabelled", times.plain), _row("create, labelled", times.labelled)]
    rows += [("webhook, as the API server sees it", *(f"~{value:.0f}" for value in seen))]
    rows += [("webhook, its own time", *(f"~{value:.0f}" for value in own))]
    table((f"ms, {options.clients} clients, {len(times.plain)} creations each", "p50", "p90", "p99"), rows)
    print(f"of the webhook's own times {within:.1f} % within {BOUND_MS:.0f} ms\n")
    figures(
        plain_p50_ms=percentile(times.plain, 50),
        labelled_p50_ms=percentile(times.labelled, 50),
        plain_p99_ms=percentile(times.plain, 99),
        labelled_p99_ms=percentile(times.labelled, 99),
        webhook_seen_p99_ms=seen[-1],
        webhook_own_p99_ms=own[-1],
        webhook_own_within_50_ms_percent=within,
        reads_per_admission=_grown(before[READS], after[READS]) / _grown(before[OWN], after[OWN]),
    )


if __name__ == "__main__":
    main()
