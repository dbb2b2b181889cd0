"""The cluster of this tier: ``make cluster``'s own, or the current context with CLUSTER=current."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import installation
from tests.support.cluster import existing_plan
from tests.support.kube import Kube

ROOT = Path(__file__).parents[2]
NAME = os.environ.get("CLUSTER_NAME", "postern")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the cluster, and longer than a unit test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def kube() -> Kube:
    environment = {}
    if os.environ.get("CLUSTER") != "current":
        plan = existing_plan(NAME)
        environment = {"KUBECONFIG": str(plan.kubeconfig), "PATH": f"{plan.programs}:{os.environ['PATH']}"}
    cluster = Kube(environment)
    cluster.run("get", "--raw", "/readyz")
    return cluster


@pytest.fixture(scope="session")
def crd(kube: Kube) -> Kube:
    kube.apply(ROOT / "crds/mcpauthpolicies.postern.dev.yaml", arguments=("--server-side", "--force-conflicts"))
    kube.run("wait", "--for=condition=Established", "crd/mcpauthpolicies.postern.dev", "--timeout=30s")
    return kube


@pytest.fixture(scope="session")
def postern(crd: Kube) -> Kube:
    installation.images_on_the_node(None if os.environ.get("CLUSTER") == "current" else NAME)
    installation.install(crd)
    return crd


@pytest.fixture(scope="session")
def identity(postern: Kube) -> installation.Identity:
    return installation.identity_provider(postern)


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[Kube]:
    title = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")[:50].strip("-")
    name = f"t-{title}-{secrets.token_hex(2)}"
    kube.run("create", "namespace", name)
    yield kube.within(name)
    kube.run("delete", "namespace", name, "--wait=false")
