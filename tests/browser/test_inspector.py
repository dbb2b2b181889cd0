"""The MCP Inspector's web UI at a protected server: a real client whose user sits in the same browser."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import NewWindow
from tests.browser.pages import allow, approve, expect_question, log_in
from tests.browser.stage import Sidecar, Stage
from tests.support.browsers.inspector import Inspector, running_inspector

WEATHER = "It is sunny in Oslo."


@pytest.fixture
def inspector(stage: Stage, tmp_path: Path) -> Iterator[Inspector]:
    # Its backend keeps tokens: each test has one that knows nobody yet.
    with running_inspector(tmp_path, {"weather": stage.local.resource}) as running:
        yield running


def token_results(sidecar: Sidecar) -> list[str]:
    """How the token endpoint answered so far, from the audit lines."""
    lines = map(json.loads, sidecar.program.written().splitlines())
    return [line["result"] for line in lines if line.get("endpoint") == "token"]


def connect(page: Page, inspector: Inspector) -> None:
    """Switches the server on, which leads to our question."""
    page.goto(inspector.url)
    # The switch itself lies under its picture.
    page.get_by_role("switch", name='Connect or disconnect "weather"').click(force=True)
    expect_question(page)


def open_tool(page: Page, tool: str) -> None:
    """Chooses a tool of the connected server."""
    expect(page.get_by_role("button", name="Disconnect from server")).to_be_visible()
    page.get_by_role("banner").get_by_text("Tools", exact=True).click()
    page.get_by_role("button", name=tool).click()


def results(page: Page) -> Locator:
    """The button that is there once a tool has answered."""
    return page.get_by_role("button", name="Close results")


def call_weather(page: Page) -> bool:
    """Calls the open tool; whether it answered, else our question is there."""
    page.get_by_role("textbox", name="city").fill("Oslo")
    page.get_by_role("button", name="Execute Tool").click()
    question = page.get_by_role("button", name="Approve")
    expect(results(page).or_(question)).to_be_visible()
    if question.is_visible():
        return False
    expect(page.get_by_role("main")).to_contain_text(WEATHER)
    results(page).click()
    return True


def test_inspector_logs_in_through_our_question_lists_tools_and_calls_one_for_the_user(
    inspector: Inspector, new_window: NewWindow
) -> None:
    page = new_window().new_page()

    connect(page, inspector)
    expect(page.locator("q")).to_have_text("MCP Inspector")
    approve(page)
    log_in(page)
    open_tool(page, "whoami")

    for tool in ("whoami", "get_weather", "add"):
        expect(page.get_by_role("button", name=tool)).to_be_visible()
    page.get_by_role("button", name="Execute Tool").click()
    expect(results(page)).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text('"x-mcp-user-id": "alice"')


def test_inspector_refreshes_by_itself_and_asks_the_user_again_once_the_provider_ended_the_login(
    stage: Stage, inspector: Inspector, new_window: NewWindow
) -> None:
    page, before = new_window().new_page(), len(token_results(stage.local))
    connect(page, inspector)
    approve(page)
    log_in(page)
    open_tool(page, "get_weather")
    assert call_weather(page)
    assert token_results(stage.local)[before:] == ["issued"]

    stage.plain.spoil_tokens()
    assert call_weather(page)
    assert set(token_results(stage.local)[before + 1 :]) == {"refreshed"}

    stage.provider.revoke_logins()
    stage.plain.spoil_tokens()
    assert not call_weather(page)
    assert token_results(stage.local)[-1] == "invalid_grant"

    approve(page)
    allow(page)
    open_tool(page, "get_weather")
    assert call_weather(page)
    assert token_results(stage.local)[-1] == "issued"
