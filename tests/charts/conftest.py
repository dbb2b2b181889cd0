import pytest

from tests.charts.rendering import Helm, Object, find_helm


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def helm() -> Helm:
    program = find_helm()
    if program is None:
        pytest.fail("no helm: the cluster tool makes one (make cluster), or put one into PATH")
    return Helm(program)


@pytest.fixture(scope="session")
def objects(helm: Helm) -> list[Object]:
    """What an installation with the values as they are creates."""
    return helm.objects()
