"""A person at the consent page, and what the client gets to know."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.client import SCOPE, Client, call
from tests.browser.conftest import MakeClient, NewWindow
from tests.browser.pages import (
    approve,
    deny,
    enter_password,
    expect_arrival,
    expect_provider,
    expect_question,
    log_in,
    open_question,
)
from tests.browser.stage import Stage


def finish(client: Client) -> None:
    """The client turns what it was brought into tokens that open the server."""
    tokens = client.redeem(client.answer())
    assert tokens["scope"] == SCOPE
    assert call(client.sidecar, tokens["access_token"]) == 200


@pytest.mark.parametrize("sidecar", ["weather", "local"])
@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no-scripts"])
def test_approval_leads_through_the_login_to_working_tokens(
    stage: Stage, new_window: NewWindow, make_client: MakeClient, console: list[str], sidecar: str, *, has_scripts: bool
) -> None:
    page = new_window(java_script_enabled=has_scripts).new_page()
    client = make_client(getattr(stage, sidecar))

    open_question(page, client.begin())
    approve(page)
    expect_provider(page, stage.provider)
    log_in(page)

    expect_arrival(page)
    finish(client)
    assert console == []


def test_question_names_the_application_the_destination_and_the_server(
    stage: Stage, window: BrowserContext, make_client: MakeClient, console: list[str]
) -> None:
    page = window.new_page()
    client = make_client(name="Claude <b>Code</b>")

    open_question(page, client.begin())

    text = page.get_by_role("main").inner_text()
    for part in ("Claude <b>Code</b>", "a program on this computer", "Weather tools", stage.weather.resource, SCOPE):
        assert part in text
    assert console == []


def test_refusal_is_told_to_the_client_and_the_provider_is_not_asked(
    stage: Stage, window: BrowserContext, make_client: MakeClient, console: list[str]
) -> None:
    page = window.new_page()
    visited: list[str] = []
    page.on("request", lambda request: visited.append(request.url))
    client = make_client()

    open_question(page, client.begin())
    deny(page)

    expect_arrival(page)
    answer = client.answer()
    assert (answer["error"], "code" in answer) == ("access_denied", False)
    assert not [url for url in visited if url.startswith(stage.provider.issuer)]
    assert console == []


def test_back_button_after_approval_asks_again_and_the_login_succeeds(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    page = window.new_page()
    client = make_client()
    open_question(page, client.begin())
    approve(page)
    expect_provider(page, stage.provider)

    page.go_back()
    expect_question(page)
    approve(page)
    expect_provider(page, stage.provider)
    log_in(page)

    expect_arrival(page)
    finish(client)


def test_refusal_after_going_back_from_the_provider_is_told_to_the_client(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    page = window.new_page()
    client = make_client()
    open_question(page, client.begin())
    approve(page)
    expect_provider(page, stage.provider)

    page.go_back()
    expect_question(page)
    deny(page)

    expect_arrival(page)
    assert client.answer()["error"] == "access_denied"


def test_double_click_on_approve_gives_one_login(
    stage: Stage, window: BrowserContext, make_client: MakeClient, console: list[str]
) -> None:
    page = window.new_page()
    client = make_client()
    open_question(page, client.begin())

    page.get_by_role("button", name="Approve").dblclick()
    expect_provider(page, stage.provider)
    log_in(page)

    expect_arrival(page)
    finish(client)
    assert client.heard_nothing()
    assert console == []


def test_two_tabs_at_the_same_time_both_log_in(stage: Stage, window: BrowserContext, make_client: MakeClient) -> None:
    client = make_client()
    first, second = window.new_page(), window.new_page()
    for page in (first, second):
        open_question(page, client.begin())
    for page in (first, second):
        approve(page)
        expect_provider(page, stage.provider)

    log_in(first)
    expect_arrival(first)
    enter_password(second)
    expect_arrival(second)

    states = set()
    for _ in (first, second):
        answer = client.answer()
        states.add(answer["state"])
        assert call(client.sidecar, client.redeem(answer)["access_token"]) == 200
    assert states == set(client.verifiers)


def test_servers_under_two_prefixes_of_one_host_do_not_disturb_each_other(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    weather, maps = make_client(stage.weather), make_client(stage.maps)
    first, second = window.new_page(), window.new_page()

    open_question(first, weather.begin())
    open_question(second, maps.begin())
    approve(second)
    approve(first)
    log_in(first)
    expect_arrival(first)
    enter_password(second)
    expect_arrival(second)

    tokens = {client.sidecar.prefix: client.redeem(client.answer())["access_token"] for client in (weather, maps)}
    assert call(stage.weather, tokens["/weather"]) == call(stage.maps, tokens["/maps"]) == 200
    assert call(stage.weather, tokens["/maps"]) == call(stage.maps, tokens["/weather"]) == 401


def test_second_login_needs_our_consent_but_no_password(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    page, client = window.new_page(), make_client()
    open_question(page, client.begin())
    approve(page)
    log_in(page)
    finish(client)

    open_question(page, client.begin())
    approve(page)

    expect_arrival(page)
    finish(client)


APPLICATION = "cursor://anysphere.cursor-mcp/oauth/callback"


def handed_over(page: Page, press: Callable[[Page], None]) -> dict[str, str]:
    """What the browser hands over with a link that only an application can open; here none has claimed it."""
    with page.expect_event("requestfailed", lambda request: request.url.startswith(APPLICATION)) as failed:
        press(page)
    return dict(parse_qsl(urlsplit(failed.value.url).query))


def test_code_reaches_an_application_with_links_of_its_own(
    window: BrowserContext, make_client: MakeClient, console: list[str]
) -> None:
    page = window.new_page()
    client = make_client(redirect_uri=APPLICATION)
    open_question(page, client.begin())
    expect(page.get_by_role("main")).to_contain_text("the application that opens cursor:// links")
    approve(page)

    answer = handed_over(page, log_in)

    assert call(client.sidecar, client.redeem(answer)["access_token"]) == 200
    assert console == []


def test_refusal_reaches_an_application_with_links_of_its_own(
    window: BrowserContext, make_client: MakeClient, console: list[str]
) -> None:
    page = window.new_page()
    client = make_client(redirect_uri=APPLICATION)
    open_question(page, client.begin())

    answer = handed_over(page, deny)

    assert answer["error"] == "access_denied"
    assert console == []


def test_remembered_consent_counts_for_a_person_and_not_for_a_link_of_another_site(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    page, client = window.new_page(), make_client(stage.maps)
    open_question(page, client.begin())
    approve(page)
    log_in(page)
    finish(client)

    page.goto(client.begin())
    expect_arrival(page)
    finish(client)

    page.goto(stage.front.page("evil.test", "/link", f'<a href="{_escaped(client.begin())}">Free maps</a>'))
    page.get_by_role("link").click()
    expect_question(page)
    assert client.heard_nothing()


def _escaped(url: str) -> str:
    return url.replace("&", "&amp;")
