from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all tests of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.clients)
            # A first run downloads the suite.
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
