"""One MCP server, one place where clients find it, and the identity providers that know this place."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.stage import Place, Sidecar, policy, render, running_sidecar
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.programs import free_port
from tests.support.identity.provider import IdentityProvider, ProviderOptions, running_provider
from tests.support.keycloak.realm import RealmOptions
from tests.support.keycloak.running import Keycloak, starting_keycloak
from tests.support.mcp.launch import McpServer, running_server

CLOSED_REALM = "closed"
"""It knows Postern alone."""
OPEN_REALM = "open"
"""Clients register there by themselves."""

Protect = Callable[..., Sidecar]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all tests of this folder; those that need Keycloak come last, for it starts meanwhile."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.clients)
            # A first run downloads what is tested, and builds Keycloak.
            item.add_marker(pytest.mark.timeout(600 if _needs_keycloak(item) else 180))
    items.sort(key=_needs_keycloak)


def _needs_keycloak(item: pytest.Item) -> bool:
    return "keycloak" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def place() -> Place:
    return Place(free_port())


@pytest.fixture(scope="session")
def provider(place: Place) -> Iterator[IdentityProvider]:
    """It knows Postern alone: nobody registers there."""
    options = ProviderOptions(
        resources=(place.url,), default_resource=place.url, clients=(place.client,), registration=False
    )
    with running_provider(options) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def started_keycloak(
    request: pytest.FixtureRequest, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Keycloak | None]:
    """Starts it ahead of the tests that need it, if there are any."""
    if not any(map(_needs_keycloak, request.session.items)):
        yield None
        return
    closed = RealmOptions(name=CLOSED_REALM, resource=place.url, clients=(place.client,))
    opened = RealmOptions(name=OPEN_REALM, resource=place.url, registration_hosts=("localhost", "127.0.0.1"))
    with starting_keycloak((closed, opened), tmp_path_factory.mktemp("keycloak")) as running:
        yield running


@pytest.fixture
def keycloak(started_keycloak: Keycloak) -> Keycloak:
    started_keycloak.wait_until_ready()
    return started_keycloak


@pytest.fixture
def browser() -> ScriptedBrowser:
    return ScriptedBrowser()


@pytest.fixture
def protect(place: Place, server: McpServer, tmp_path: Path) -> Iterator[Protect]:
    """Puts the sidecar of a policy in front of the server, at the place of the session."""
    with ExitStack() as stack:

        def _protect(provider: Mapping[str, Any], *, secrets: Mapping[str, str] | None = None, **spec: Any) -> Sidecar:
            folder = tmp_path / "configuration"
            render(policy(place, provider, **spec), folder, secrets=secrets)
            return stack.enter_context(running_sidecar(folder, server, place))

        yield _protect
