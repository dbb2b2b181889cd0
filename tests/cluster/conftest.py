"""The cluster of this tier: ``make cluster``'s own, or kubectl's current context with CLUSTER=current."""

import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.demo import story
from examples.demo.images import OPERATOR, REGISTRY, build_images
from examples.demo.narrator import Narrator
from examples.demo.stage import NAMESPACE, Stage
from tests.cluster.installation import Identity, log_in
from tests.support.cluster import existing_plan, load
from tests.support.kube import Kube

ROOT = Path(__file__).parents[2]
IS_CURRENT = os.environ.get("CLUSTER") == "current"
NAME = os.environ.get("CLUSTER_NAME", "postern")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the cluster, and longer than a unit test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def kube() -> Kube:
    """The cluster; a missing one is an error, never a skipped tier."""
    environment = {}
    if not IS_CURRENT:
        plan = existing_plan(NAME)
        environment = {"KUBECONFIG": str(plan.kubeconfig), "PATH": f"{plan.programs}:{os.environ['PATH']}"}
    cluster = Kube(environment)
    cluster.run("get", "--raw", "/readyz")
    return cluster


@pytest.fixture(scope="session")
def crd(kube: Kube) -> Kube:
    """The cluster with the custom resource."""
    kube.apply(ROOT / "crds/mcpauthpolicies.postern.dev.yaml", arguments=("--server-side", "--force-conflicts"))
    kube.run("wait", "--for=condition=Established", "crd/mcpauthpolicies.postern.dev", "--timeout=30s")
    return kube


@pytest.fixture(scope="session")
def stage(crd: Kube, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The cluster with the images of this checkout and Postern installed from its chart."""
    registry = os.environ.get("IMAGE_REGISTRY", REGISTRY) if IS_CURRENT else REGISTRY
    folder = tmp_path_factory.mktemp("stage")
    here = Stage(kube=crd.within(NAMESPACE), folder=folder, registry=registry, narrator=Narrator(io.StringIO()))
    loaded = [] if IS_CURRENT else load(build_images(), NAME)
    story.install(here, renewed=any(tag.endswith(OPERATOR) for tag in loaded))
    return here


@pytest.fixture(scope="session")
def postern(stage: Stage) -> Kube:
    """The cluster with Postern."""
    return stage.kube


@pytest.fixture(scope="session")
def scene(stage: Stage) -> Stage:
    """The stage with an identity provider and an unchanged MCP server."""
    story.set_the_scene(stage)
    return stage


@pytest.fixture(scope="session")
def identity(scene: Stage) -> Identity:
    """Somebody who may use the servers."""
    return log_in(scene)


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace for one test."""
    title = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")[:50].strip("-")
    name = f"t-{title}-{secrets.token_hex(2)}"
    kube.run("create", "namespace", name)
    yield kube.within(name)
    kube.run("delete", "namespace", name, "--wait=false")
