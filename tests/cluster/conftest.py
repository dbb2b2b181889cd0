"""The cluster of this tier: ``make cluster``'s own, or the current context with CLUSTER=current."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kube import Kube

ROOT = Path(__file__).parent.parent.parent


def _environment() -> dict[str, str]:
    if os.environ.get("CLUSTER") == "current":
        return {}
    printed = subprocess.run(
        [sys.executable, "-m", "tests.support.cluster", "env"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    shell = subprocess.run(["bash", "-c", f"{printed}\nenv -0"], capture_output=True, text=True, check=True).stdout
    pairs = dict(entry.split("=", 1) for entry in shell.split("\0") if "=" in entry)
    return {name: pairs[name] for name in ("KUBECONFIG", "PATH")}


@pytest.fixture(scope="session")
def kube() -> Kube:
    cluster = Kube(_environment())
    cluster.run("get", "--raw", "/readyz")
    return cluster


@pytest.fixture(scope="session")
def crd(kube: Kube) -> Kube:
    kube.apply(ROOT / "crds/mcpauthpolicies.postern.dev.yaml", arguments=("--server-side", "--force-conflicts"))
    kube.run("wait", "--for=condition=Established", "crd/mcpauthpolicies.postern.dev", "--timeout=30s")
    return kube


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[Kube]:
    name = "t-" + request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")[:50].strip("-")
    kube.run("create", "namespace", name)
    yield kube.within(name)
    kube.run("delete", "namespace", name, "--wait=false")
