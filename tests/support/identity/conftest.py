from collections.abc import Iterator

import pytest

from tests.support.identity.provider import IdentityProvider, ProviderOptions, running_provider

RESOURCE = "http://localhost:8080/mcp"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def provider() -> Iterator[IdentityProvider]:
    with running_provider(ProviderOptions(resources=(RESOURCE, "http://localhost:8081/mcp"))) as running:
        yield running
