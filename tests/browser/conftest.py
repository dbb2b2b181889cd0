"""One browser and one stage for all tests of this folder; every test has a private window of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, expect

from tests.browser.client import Client, Listener, register, running_listener
from tests.browser.stage import Sidecar, Stage, running_stage
from tests.support.browsers.chromium import PATIENCE_MS, chromium

NewWindow = Callable[..., BrowserContext]
MakeClient = Callable[..., Client]
TIMEOUT_S = 150
"""Of a test with its fixtures: a warm start takes ten seconds on a quiet machine, on a busy one much more."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks all tests of this folder, and gives the first of them the time to start everything."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


# For this folder alone: Playwright keeps an event loop running, in which tests of other folders cannot start theirs.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


@pytest.fixture(scope="package")
def listener() -> Iterator[Listener]:
    with running_listener() as running:
        yield running


@pytest.fixture
def console() -> list[str]:
    """What the browser complained about: violations of the content security policy, and whatever else."""
    return []


@pytest.fixture
def new_window(browser: Browser, console: list[str]) -> Iterator[NewWindow]:
    """Opens private windows, which are closed at the end; options as Playwright's ``new_context``."""
    opened: list[BrowserContext] = []

    def note(message: ConsoleMessage) -> None:
        # Browsers ask every host for an icon; neither provider nor client has one.
        if message.type in ("error", "warning") and not message.location["url"].endswith("/favicon.ico"):
            console.append(message.text)

    def _open(**options: object) -> BrowserContext:
        # The front's certificate is of an authority that only this stage knows.
        window = browser.new_context(ignore_https_errors=True, **options)  # type: ignore[arg-type]  # of new_context
        window.set_default_timeout(PATIENCE_MS)
        window.on("console", note)
        window.on("weberror", lambda error: console.append(str(error.error)))
        opened.append(window)
        return window

    yield _open
    for window in opened:
        window.close()


@pytest.fixture
def window(new_window: NewWindow) -> BrowserContext:
    return new_window()


@pytest.fixture
def make_client(listener: Listener, stage: Stage) -> MakeClient:
    """Registers a client, at the weather server unless another is named."""

    def _make(sidecar: Sidecar | None = None, **parts: str) -> Client:
        return register(sidecar or stage.weather, listener, **parts)

    return _make
