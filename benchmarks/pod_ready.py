"""How much later a protected pod is Ready: this module measures it, ``python -m benchmarks.pod_ready``."""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.node import NAMESPACE, Api, Manifest, install
from benchmarks.report import figures, heading, spread, table

METHOD = """\
The same pod in several forms by turns, one at a time: a Python file server with a readiness probe each second, alone;
with an init container that ends at once and a native sidecar that does nothing (a file server too), both from an image
of the node; and with Postern. What the idle forms take more is the kubelet's own, whatever runs in the containers. Time
from the request that creates the pod until its condition Ready is seen (asked every 20 ms). The images are on the node;
the identity provider is a pod of the same node. A kubelet looks and probes at moments of its own, so that single times
move by up to a second: pods are created at random moments, and the medians count."""
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
PATIENCE_S = 60
IMAGE = "localhost/postern-base:dev"
IDLE_PORT = 8001


def _server(name: str, port: int) -> Manifest:
    return {
        "name": name,
        "image": IMAGE,
        "command": ["python3", "-m", "http.server", str(port)],
        "workingDir": "/usr/share/misc",
        "ports": [{"containerPort": port}],
    }


def _each_second(port: int) -> Manifest:
    return {"httpGet": {"path": "/", "port": port}, "periodSeconds": 1}


def _alone() -> Manifest:
    container = {**_server("app", 8000), "readinessProbe": _each_second(8000)}
    return {"metadata": {}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}


def _idle(**probes: Manifest) -> Manifest:
    pod = _alone()
    sidecar = {**_server("idle", IDLE_PORT), "restartPolicy": "Always", **probes}
    pod["spec"]["initContainers"] = [{"name": "brief", "image": IMAGE, "command": ["true"]}, sidecar]
    return pod


def _idle_probed() -> Manifest:
    return _idle(startupProbe=_each_second(IDLE_PORT), readinessProbe=_each_second(IDLE_PORT))


def _protected() -> Manifest:
    metadata = {"labels": {"postern.dev/inject": "true"}, "annotations": {"postern.dev/policy": "weather"}}
    return {**_alone(), "metadata": metadata}


FORMS: dict[str, tuple[str, Callable[[], Manifest]]] = {
    "plain": ("without Postern", _alone),
    "idle": ("idle init container and sidecar", _idle),
    "idle_probed": ("the same, startup and readiness probe", _idle_probed),
    "protected": ("with Postern", _protected),
}
"""By the name in the last line: what the table calls it, and what makes its pod."""


def _is_ready(pod: Manifest) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _seconds(api: Api, name: str, pod: Manifest) -> float:
    head = {"apiVersion": "v1", "kind": "Pod"}
    began = time.perf_counter()
    api.must("POST", PODS, {**head, **pod, "metadata": {**pod["metadata"], "name": name}})
    while not _is_ready(api.must("GET", f"{PODS}/{name}")):
        if time.perf_counter() - began > PATIENCE_S:
            raise TimeoutError(f"pod {name} is not Ready after {PATIENCE_S} s")
        time.sleep(0.02)
    took = time.perf_counter() - began
    api.must("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")
    while api.ask("GET", f"{PODS}/{name}")[0] != 404:
        time.sleep(0.05)
    time.sleep(
        0.5 + random.random()
    )  # its processes end after its object; then at no fixed phase of the kubelet's second
    return took


def _measure(api: Api, count: int) -> dict[str, list[float]]:
    """Give the seconds of so many pods of each form."""
    for name, (_, pod) in FORMS.items():
        _seconds(api, f"first-{name.replace('_', '-')}", pod())  # the first of each reads the image
    seen: dict[str, list[float]] = {name: [] for name in FORMS}
    for number in range(count):
        for name, (_, pod) in FORMS.items():
            seen[name].append(_seconds(api, f"bench-{name.replace('_', '-')}-{number}", pod()))
    return seen


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pod_ready", description=__doc__)
    parser.add_argument("--pods", type=int, default=12, help="of each form (default 12)")
    count = parser.parse_args().pods
    heading("Until a pod is Ready", METHOD)
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder), scene=True)
    seen = _measure(Api(), count)
    medians = {name: statistics.median(values) for name, values in seen.items()}
    rows = [
        (FORMS[name][0], *spread(values), f"{medians[name] - medians['plain']:+.1f}") for name, values in seen.items()
    ]
    table((f"s, {count} pods each", "least", "median", "greatest", "more"), rows)
    figures(
        **{f"{name}_s": median for name, median in medians.items()},
        difference_s=medians["protected"] - medians["plain"],
        idle_probed_difference_s=medians["idle_probed"] - medians["plain"],
    )


if __name__ == "__main__":
    main()
