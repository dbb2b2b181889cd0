"""How the controller bears many policies: this module measures its cold start, ``python -m benchmarks.controller``."""

import argparse
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.node import OPERATOR_NAMESPACE, Api, Manifest, install, scrape, total
from benchmarks.report import figures, heading, table
from tests.support.kube import Kube, wait_for

METHOD = """\
Policies are created while the controller is away. First start: nothing is rendered yet. Second start: all is as it
should be. Time from the start of the process (process_start_time_seconds) until its metrics count as many passes as
there are policies, asked four times a second; RSS and calls are from the same metrics, 5 s later."""
NAMESPACE = "bench-policies"
POLICIES = f"/apis/postern.dev/v1alpha1/namespaces/{NAMESPACE}/mcpauthpolicies"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
CLIENTS = 8
PATIENCE_S = 180


@dataclass(frozen=True, slots=True)
class Start:
    """One cold start of the controller."""

    seconds: float
    """Until every policy was looked at."""
    rss_mb: float
    cpu_s: float
    writes: float
    """Calls that change something in the cluster."""
    reads: float


def _policy(number: int) -> Manifest:
    resource = {"url": f"https://mcp-{number}.example.com/mcp"}
    spec = {"mode": "Direct", "resource": resource, "provider": {"custom": {"issuer": "https://sso.example.com"}}}
    metadata = {"name": f"policy-{number}", "namespace": NAMESPACE}
    return {"apiVersion": "postern.dev/v1alpha1", "kind": "McpAuthPolicy", "metadata": metadata, "spec": spec}


def _fill(count: int) -> None:
    failures: list[BaseException] = []

    def create(part: int) -> None:
        api = Api()
        try:
            for number in range(part, count, CLIENTS):
                api.must("POST", POLICIES, _policy(number))
        except (OSError, RuntimeError) as error:
            failures.append(error)

    threads = [threading.Thread(target=create, args=(part,)) for part in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _stop(kube: Kube) -> None:
    kube.run("scale", "deployment/postern-controller", "--replicas=0")
    selector = ("pods", "-l", "app.kubernetes.io/component=controller")
    wait_for("the controller is gone", lambda: not kube.get(*selector)["items"], timeout_s=60)


def _start(kube: Kube, api: Api, count: int) -> Start:
    kube.run("scale", "deployment/postern-controller", "--replicas=1")
    name = wait_for("its pod", lambda: kube.pods("app.kubernetes.io/component=controller"))[0]["metadata"]["name"]

    def is_done() -> float | None:
        done = total(scrape(api, name), "postern_operator_reconciles_total") >= count
        return time.time() if done else None

    finished = wait_for("a pass over every policy", is_done, timeout_s=PATIENCE_S, every_s=0.25)
    time.sleep(5)
    seen = scrape(api, name)
    calls = {m: total(seen, "postern_operator_api_call_seconds_count", f'method="{m}"') for m in (*WRITES, "GET")}
    return Start(
        seconds=finished - total(seen, "process_start_time_seconds"),
        rss_mb=total(seen, "process_resident_memory_bytes") / 2**20,
        cpu_s=total(seen, "process_cpu_seconds_total"),
        writes=sum(calls[method] for method in WRITES),
        reads=calls["GET"],
    )


def _measure(count: int) -> tuple[Start, Start]:
    with tempfile.TemporaryDirectory() as folder:
        kube = install(Path(folder), scene=False)
    system, api = kube.within(OPERATOR_NAMESPACE), Api()
    kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=180s", timeout_s=190)
    kube.run("create", "namespace", NAMESPACE)
    _stop(system)
    try:
        _fill(count)
        first = _start(system, api, count)
        _stop(system)
        second = _start(system, api, count)
    finally:
        system.run("scale", "deployment/postern-controller", "--replicas=1")
        kube.run("delete", "namespace", NAMESPACE, "--wait=false")
    return first, second


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controller", description=__doc__)
    parser.add_argument("--policies", type=int, default=2000, help="how many (default 2000)")
    count = parser.parse_args().policies
    heading("Cold start of the controller", METHOD)
    starts = _measure(count)
    columns = (f"{count} policies", "seconds", "RSS, MB", "CPU, s", "writes", "reads")
    rows = [
        (name, f"{s.seconds:.1f}", f"{s.rss_mb:.0f}", f"{s.cpu_s:.1f}", f"{s.writes:.0f}", f"{s.reads:.0f}")
        for name, s in zip(("first start", "second start"), starts, strict=True)
    ]
    table(columns, rows)
    first, second = starts
    figures(
        first_s=first.seconds,
        first_rss_mb=first.rss_mb,
        first_writes=first.writes,
        second_s=second.seconds,
        second_rss_mb=second.rss_mb,
        second_writes=second.writes,
    )


if __name__ == "__main__":
    main()
