"""The cluster of the benchmarks: this module installs Postern on it and speaks to its API server without kubectl.

A cluster of its own, named ``bench``, because a benchmark deletes and remakes what it finds there; BENCH_CLUSTER names
another one.
"""

import http.client
import io
import json
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from examples.demo import story
from examples.demo.images import OPERATOR, build_images
from examples.demo.narrator import Narrator
from examples.demo.stage import NAMESPACE, OPERATOR_NAMESPACE, Stage
from tests.support.cluster import existing_plan, load
from tests.support.kube import Kube

__all__ = ["NAMESPACE", "OPERATOR_NAMESPACE", "Api", "Figures", "Manifest", "install", "samples", "scrape", "total"]

Manifest = dict[str, Any]
Figures = Mapping[str, float]
"""Prometheus samples by name with labels."""
_TIMEOUT_S = 30
_SAMPLE = re.compile(r"^([a-zA-Z_]\w*(?:\{.*\})?) (\S+)$", re.MULTILINE)


class Api:
    """One connection to the API server, as the administrator. Not for several threads."""

    def __init__(self) -> None:
        plan = existing_plan(_name())
        trust = ssl.create_default_context(cafile=str(plan.certificates / "ca.crt"))
        trust.load_cert_chain(plan.certificates / "admin.crt", plan.certificates / "admin.key")
        self._connection = http.client.HTTPSConnection(
            urlsplit(plan.network.api_url).netloc, context=trust, timeout=_TIMEOUT_S
        )

    def ask(self, method: str, path: str, body: Manifest | None = None) -> tuple[int, bytes]:
        """Send a request; gives status and body."""
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def must(self, method: str, path: str, body: Manifest | None = None) -> Any:
        """Send a request that has to succeed; gives the object. Raises RuntimeError."""
        status, text = self.ask(method, path, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {text.decode()}")
        return json.loads(text)


def install(folder: Path, *, scene: bool) -> Kube:
    """Bring the images of this checkout and the chart; scene: an identity provider and a policy in NAMESPACE too."""
    plan = existing_plan(_name())
    environment = {"KUBECONFIG": str(plan.kubeconfig), "PATH": f"{plan.programs}:{os.environ['PATH']}"}
    stage = Stage(kube=Kube(environment, NAMESPACE), folder=folder, narrator=Narrator(io.StringIO()))
    renewed = any(tag.endswith(OPERATOR) for tag in load(build_images(), _name()))
    story.install(stage, renewed=renewed)
    if scene:
        story.set_the_scene(stage)
        stage.kube.apply(stage.manifest("policy"))
        stage.kube.run("wait", "--for=condition=Programmed", "mcpauth/weather", "--timeout=60s")
    return stage.kube


def scrape(api: Api, pod: str) -> Figures:
    """Give the metrics of one of the operator's pods."""
    status, text = api.ask("GET", f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8080/proxy/metrics")
    return samples(text) if status == 200 else {}


def samples(text: bytes) -> Figures:
    """Read Prometheus' text format."""
    return {name: float(value) for name, value in _SAMPLE.findall(text.decode())}


def total(figures: Figures, name: str, *labels: str) -> float:
    """Add up the samples of a name whose labels hold all of these texts."""
    own = [(key, value) for key, value in figures.items() if key.partition("{")[0] == name]
    return sum(value for key, value in own if all(label in key for label in labels))


def _name() -> str:
    return os.environ.get("BENCH_CLUSTER", "bench")
