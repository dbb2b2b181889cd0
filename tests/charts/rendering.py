"""Runs the real helm on the chart: this module is how tests see what an installation would create."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.images.cache import cache_root

CHART = Path(__file__).parents[2] / "charts" / "postern"
NAMESPACE = "postern-system"
TIMEOUT_S = 30

Object = dict[str, Any]


class HelmRefused(Exception):
    """Raised when helm ended with an error; the text is what it said."""


@dataclass(frozen=True, slots=True)
class Helm:
    """The program, and the chart rendered by it."""

    program: str

    def run(self, *words: str) -> str:
        """Give what helm printed. Raises HelmRefused."""
        done = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode:
            raise HelmRefused(done.stderr)
        return done.stdout

    def text(self, *settings: str, namespace: str = NAMESPACE, options: Sequence[str] = ()) -> str:
        """Give the YAML of all objects for values such as ``webhook.port=10250``."""
        values = [word for setting in settings for word in ("--set", setting)]
        return self.run("template", "postern", str(CHART), "--namespace", namespace, *values, *options)

    def objects(self, *settings: str, namespace: str = NAMESPACE, options: Sequence[str] = ()) -> list[Object]:
        """Give all objects for such values."""
        documents = yaml.safe_load_all(self.text(*settings, namespace=namespace, options=options))
        return [document for document in documents if document]


def find_helm() -> str | None:
    """Give the helm that the cluster tool keeps, else the one in PATH."""
    kept = cache_root() / "cluster" / "bin" / "helm"
    return str(kept) if kept.exists() else shutil.which("helm")


def one(objects: list[Object], kind: str, name: str) -> Object:
    """Give the only object of that kind and name."""
    found = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    if len(found) != 1:
        raise LookupError(f"{len(found)} objects {kind}/{name}")
    return found[0]


def deployments(objects: list[Object]) -> list[Object]:
    """Give both Deployments."""
    return [o for o in objects if o["kind"] == "Deployment"]


def pod_spec(deployment: Object) -> Object:
    """Give the specification of a Deployment's pods."""
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def variables(deployment: Object) -> dict[str, str]:
    """Give the environment of the only container; '' for what comes from a field."""
    (container,) = pod_spec(deployment)["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}
