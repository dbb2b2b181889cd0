"""How much later a protected pod is Ready: this module measures it, ``python -m benchmarks.pod_ready``."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.node import NAMESPACE, Api, Manifest, install
from benchmarks.report import figures, heading, spread, table

METHOD = """\
The same pod by turns without and with the label, one at a time: a Python file server with a readiness probe each
second. Time from the request that creates it until its condition Ready is seen (asked every 20 ms). The images are on
the node; the identity provider is a pod of the same node. A kubelet probes at moments of its own, so that single times
move by up to a second: the medians count."""
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
PATIENCE_S = 60


def _pod(name: str, *, labelled: bool) -> Manifest:
    metadata: Manifest = {"name": name}
    if labelled:
        metadata |= {"labels": {"postern.dev/inject": "true"}, "annotations": {"postern.dev/policy": "weather"}}
    container = {
        "name": "app",
        "image": "localhost/postern-base:dev",
        "command": ["python3", "-m", "http.server", "8000"],
        "workingDir": "/usr/share/misc",
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _is_ready(pod: Manifest) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _seconds(api: Api, name: str, *, labelled: bool) -> float:
    began = time.perf_counter()
    api.must("POST", PODS, _pod(name, labelled=labelled))
    while not _is_ready(api.must("GET", f"{PODS}/{name}")):
        if time.perf_counter() - began > PATIENCE_S:
            raise TimeoutError(f"pod {name} is not Ready after {PATIENCE_S} s")
        time.sleep(0.02)
    took = time.perf_counter() - began
    api.must("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")
    while api.ask("GET", f"{PODS}/{name}")[0] != 404:
        time.sleep(0.05)
    time.sleep(0.5)  # its processes end after its object
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pod_ready", description=__doc__)
    parser.add_argument("--pods", type=int, default=12, help="of each kind (default 12)")
    count = parser.parse_args().pods
    heading("Until a pod is Ready", METHOD)
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder), scene=True)
    api = Api()
    for labelled in (False, True):
        _seconds(api, f"bench-first-{int(labelled)}", labelled=labelled)  # the first of each reads the image
    plain, protected = [], []
    for number in range(count):
        plain.append(_seconds(api, f"bench-plain-{number}", labelled=False))
        protected.append(_seconds(api, f"bench-protected-{number}", labelled=True))
    rows = [("without Postern", *spread(plain)), ("with Postern", *spread(protected))]
    table((f"s, {count} pods each", "least", "median", "greatest"), rows)
    medians = statistics.median(plain), statistics.median(protected)
    figures(plain_s=medians[0], protected_s=medians[1], difference_s=medians[1] - medians[0])


if __name__ == "__main__":
    main()
