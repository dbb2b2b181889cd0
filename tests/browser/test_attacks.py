"""Those who wish no good, in a real browser: each is refused, and the client hears nothing."""

import time
from html import escape

import msgspec
import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, Request, expect

from postern_sidecar.facade.artefacts import ConsentRequest, open_as, seal_as
from tests.browser.conftest import MakeClient, NewWindow
from tests.browser.pages import (
    approve,
    expect_arrival,
    expect_provider,
    expect_refusal,
    log_in,
    open_question,
)
from tests.browser.stage import HOST, Sidecar, Stage

NOT_OURS = "This form is not ours"
NOT_YOURS = "This form does not fit your browser"
NOT_YOUR_LOGIN = "This login does not belong to your browser"


def hidden(page: Page, name: str) -> str:
    """A hidden field of the consent page."""
    return page.locator(f"input[name={name}]").input_value()


def requests_of(page: Page) -> list[str]:
    """All URLs that the page asks for from now on, redirects too."""
    urls: list[str] = []

    def note(request: Request) -> None:
        urls.append(request.url)

    page.on("request", note)
    return urls


def test_expired_form_is_refused(stage: Stage, window: BrowserContext, make_client: MakeClient) -> None:
    page, client = window.new_page(), make_client()
    open_question(page, client.begin())
    asked = open_as(stage.weather.seals, ConsentRequest, hidden(page, "request"))
    assert asked is not None
    expired = msgspec.structs.replace(asked, expires_at=int(time.time()) - 1)
    page.locator("input[name=request]").evaluate(
        "(field, value) => { field.value = value }", seal_as(stage.weather.seals, expired, time.time())
    )

    approve(page)

    expect_refusal(page, 400, "This page was open for too long")
    assert client.heard_nothing()


@pytest.mark.parametrize("host", ["evil.test", "other.mcp.test", HOST])
def test_question_is_shown_in_no_frame(
    stage: Stage, window: BrowserContext, make_client: MakeClient, console: list[str], host: str
) -> None:
    page, client = window.new_page(), make_client()
    url = stage.front.page(host, "/frame", f'<h1>Win!</h1><iframe src="{escape(client.begin())}"></iframe>')

    page.goto(url)

    expect(page.locator("iframe")).to_be_attached()
    framed = page.frames[1]
    expect(framed.get_by_role("button", name="Approve")).to_have_count(0)
    assert framed.url == "chrome-error://chromewebdata/"
    assert [text for text in console if "frame-ancestors 'none'" in text or "X-Frame-Options" in text]


def forged(sidecar: Sidecar, fields: dict[str, str]) -> str:
    """A page that sends the consent form in the name of whoever looks at it."""
    inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    return f'<form method="post" action="{sidecar.issuer}/consent">{inputs}<button>Win!</button></form>'


@pytest.mark.parametrize("host", ["evil.test", "other.mcp.test"])
@pytest.mark.parametrize("knows_victim", [False, True], ids=["own form", "form of the victim"])
def test_form_sent_by_another_origin_is_refused(
    stage: Stage, new_window: NewWindow, make_client: MakeClient, host: str, *, knows_victim: bool
) -> None:
    victim, attacker, client = new_window().new_page(), new_window().new_page(), make_client()
    open_question(victim, client.begin())
    open_question(attacker, client.begin())
    source = victim if knows_victim else attacker
    fields = {"decision": "approve", **{name: hidden(source, name) for name in ("request", "csrf")}}
    victim.goto(stage.front.page(host, "/forge", forged(stage.weather, fields)))
    visited = requests_of(victim)

    victim.get_by_role("button", name="Win!").click()

    expect_refusal(victim, 403, NOT_OURS)
    assert [url for url in visited if url.startswith(stage.provider.issuer)] == []
    assert client.heard_nothing()


def test_form_handed_out_to_another_browser_is_refused(new_window: NewWindow, make_client: MakeClient) -> None:
    victim, attacker, client = new_window().new_page(), new_window().new_page(), make_client()
    open_question(victim, client.begin())
    open_question(attacker, client.begin())
    victim.locator("input[name=request]").evaluate(
        "(field, value) => { field.value = value }", hidden(attacker, "request")
    )

    approve(victim)

    expect_refusal(victim, 403, NOT_YOURS)
    assert client.heard_nothing()


def test_form_of_a_browser_that_lost_its_cookies_is_refused(window: BrowserContext, make_client: MakeClient) -> None:
    page, client = window.new_page(), make_client()
    open_question(page, client.begin())
    window.clear_cookies()

    approve(page)

    expect_refusal(page, 403, NOT_YOURS)
    assert client.heard_nothing()


def test_victim_that_logs_in_for_the_login_of_another_browser_is_refused(
    stage: Stage, new_window: NewWindow, make_client: MakeClient
) -> None:
    attacker, victim, client = new_window().new_page(), new_window().new_page(), make_client()
    open_question(attacker, client.begin())
    visited = requests_of(attacker)
    approve(attacker)
    expect_provider(attacker, stage.provider)
    (bait,) = (url for url in visited if url.startswith(f"{stage.provider.issuer}/auth?"))

    victim.goto(bait)
    log_in(victim)

    expect_refusal(victim, 403, NOT_YOUR_LOGIN)
    assert client.heard_nothing()


@pytest.mark.parametrize("is_same_browser", [True, False], ids=["same browser", "another browser"])
def test_return_from_the_provider_counts_once_and_in_one_browser(
    new_window: NewWindow, make_client: MakeClient, *, is_same_browser: bool
) -> None:
    window, client = new_window(), make_client()
    page = window.new_page()
    visited = requests_of(page)
    open_question(page, client.begin())
    approve(page)
    log_in(page)
    expect_arrival(page)
    client.answer()
    (leaked,) = (url for url in visited if "/oauth/callback?" in url)

    again = (window if is_same_browser else new_window()).new_page()
    again.goto(leaked)

    expect_refusal(again, 403, NOT_YOUR_LOGIN)
    assert client.heard_nothing()


def test_scripts_in_the_name_of_an_application_do_not_run(
    window: BrowserContext, make_client: MakeClient, console: list[str]
) -> None:
    page = window.new_page()
    client = make_client(name="<img src=x onerror=alert(1)><script>alert(1)</script>")
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)

    open_question(page, client.begin())

    expect(page.locator("q")).to_have_text("<img src=x onerror=alert(1)><script>alert(1)</script>")
    assert dialogs == console == []


def test_script_that_got_into_the_page_would_be_stopped(
    window: BrowserContext, make_client: MakeClient, console: list[str]
) -> None:
    page = window.new_page()
    open_question(page, make_client().begin())

    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")

    assert page.evaluate("window.ran") is None
    assert [text for text in console if "Content Security Policy" in text]
