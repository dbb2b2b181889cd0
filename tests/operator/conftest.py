"""What the operator's tests share: the event loop, a fake API server, a Cluster connected to it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postern_operator.cluster import Cluster, cluster, load_configuration
from tests.support.ca import PrivateCA
from tests.support.fake_apiserver import FakeApiServer, fake_apiserver, kubeconfig


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with fake_apiserver() as running:
        running.token = "secret"
        yield running


@pytest.fixture(scope="session")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.crt"
    path.write_bytes(PrivateCA().certificate)
    return str(path)


@pytest.fixture
def environment(server: FakeApiServer, tmp_path: Path, ca_file: str) -> dict[str, str]:
    """Environment variables that lead a client to the fake API server."""
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(kubeconfig(server, ca_file)))
    return {"KUBECONFIG": str(path)}


@pytest.fixture
async def api(environment: dict[str, str]) -> AsyncIterator[Cluster]:
    async with cluster(await load_configuration(environment), lambda *_: None) as connected:
        yield connected
