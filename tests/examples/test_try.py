import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from examples.demo.endpoint import (
    call_after_login,
    call_openly,
    refused_with_token,
    refused_without_token,
    token_for,
)
from examples.demo.narrator import StepFailed
from tests.examples.conftest import Laptop
from tests.support.identity.browser import ScriptedBrowser


def test_story_goes_as_told_with_the_real_sidecar(laptop: Laptop) -> None:
    laptop.story.show_who_gets_in(laptop.places, laptop.narrator)

    told = laptop.told.getvalue()
    assert "tools: whoami, get_weather, add; add(2, 3) = 5" in told
    assert 'WWW-Authenticate: Bearer scope="weather:read", resource_metadata="http://localhost:' in told
    assert "x-mcp-user-id: alice" in told
    assert "x-mcp-user-name: Alice %C5%81ukasz" in told
    assert "x-mcp-roles: admin" in told
    assert "The access token is for another audience." in told


def test_story_shows_no_token(laptop: Laptop) -> None:
    token = token_for(laptop.places.issuer_url, laptop.places.url, ScriptedBrowser())

    assert call_after_login(laptop.places.url, ScriptedBrowser()).weather
    # The header X-Mcp-Claims starts alike, but has the claims alone: a token has two dots.
    assert not re.search(r"eyJ[\w-]+\.", laptop.told.getvalue())
    assert token not in laptop.sidecar.written()


def test_another_user_is_another_identity(laptop: Laptop) -> None:
    bob = ScriptedBrowser(username="bob", password="bob-pw")

    seen = call_after_login(laptop.places.url, bob)

    assert seen.identity["x-mcp-user-id"] == "bob"
    assert "x-mcp-roles" not in seen.identity


@pytest.mark.parametrize(
    "browser",
    [
        pytest.param(ScriptedBrowser(password="wrong"), id="wrong password"),
        pytest.param(ScriptedBrowser(allows=False), id="denied consent"),
    ],
)
def test_failed_login_fails_the_step(laptop: Laptop, browser: ScriptedBrowser) -> None:
    with pytest.raises(StepFailed, match="expected a login and an answer, but saw"):
        call_after_login(laptop.places.url, browser)


def test_open_server_in_place_of_the_sidecar_fails_the_step(laptop: Laptop) -> None:
    open_url = f"http://localhost:{laptop.places.server}/mcp"

    with pytest.raises(StepFailed, match="expected status 401"):
        refused_without_token(open_url, issuer=laptop.places.issuer_url)


def test_protected_server_fails_the_step_that_wants_it_open(laptop: Laptop) -> None:
    with pytest.raises(StepFailed, match="expected an open MCP server"):
        call_openly(laptop.places.url)


def test_right_token_fails_the_step_that_wants_it_refused(laptop: Laptop) -> None:
    token = token_for(laptop.places.issuer_url, laptop.places.url, ScriptedBrowser())

    with pytest.raises(StepFailed, match="expected 401 and error invalid_token"):
        refused_with_token(laptop.places.url, token)


def test_other_issuer_fails_the_step(laptop: Laptop) -> None:
    with pytest.raises(StepFailed, match=r"expected the issuer https://elsewhere\.example"):
        refused_without_token(laptop.places.url, issuer="https://elsewhere.example")


@pytest.fixture
def terminate_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("terminate_handler")
def test_missing_program_ends_the_story_with_status_1(
    try_module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")

    assert try_module.main() == 1
    assert "FAILED: missing in PATH: node, npm; install Node.js 20 or newer" in capsys.readouterr().err
