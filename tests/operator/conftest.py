"""What the operator's tests share: the event loop, a fake API server, a Cluster connected to it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postern_operator.cluster import Cluster, cluster, load_configuration
from tests.support.fake_apiserver import FakeApiServer, fake_apiserver, kubeconfig


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_apiserver() as running:
        running.token = "secret"
        yield running


@pytest.fixture
def environment(server: FakeApiServer, tmp_path: Path) -> dict[str, str]:
    """Environment variables that lead a client to the fake API server."""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig(server)))
    return {"KUBECONFIG": str(path)}


@pytest.fixture
async def api(environment: dict[str, str]) -> AsyncIterator[Cluster]:
    async with cluster(await load_configuration(environment), lambda *_: None) as connected:
        yield connected
