"""What the browser keeps of a login: names, flags, and how long."""

import re
import time

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import MakeClient
from tests.browser.pages import approve, expect_arrival, expect_provider, log_in, open_question
from tests.browser.stage import HOST, Stage

Kept = dict[str, dict[str, object]]
TRANSACTION_S = 600
NAME = re.compile(r"((?:__Host-)?postern-(?:csrf|consent|tx))-[\w-]+$")


def kept_for(window: BrowserContext, host: str) -> Kept:
    """The cookies of a host, by the part of their names before the fingerprint."""
    cookies = [dict(cookie) for cookie in window.cookies() if cookie.get("domain") == host]
    named = [(NAME.match(str(cookie["name"])), cookie) for cookie in cookies]
    return {name[1]: cookie for name, cookie in named if name is not None}


def assert_guarded(cookie: dict[str, object], *, secure: bool) -> None:
    flags = {name: cookie[name] for name in ("path", "httpOnly", "sameSite", "secure")}
    assert flags == {"path": "/", "httpOnly": True, "sameSite": "Lax", "secure": secure}


@pytest.mark.parametrize("sidecar", ["weather", "local"])
def test_login_keeps_two_guarded_cookies_and_drops_one_at_its_end(
    stage: Stage, window: BrowserContext, make_client: MakeClient, sidecar: str
) -> None:
    host, prefix = (HOST, "__Host-") if sidecar == "weather" else ("127.0.0.1", "")
    page, client = window.new_page(), make_client(getattr(stage, sidecar))

    open_question(page, client.begin())
    asked = kept_for(window, host)
    approve(page)
    expect_provider(page, stage.provider)
    under_way = kept_for(window, host)
    log_in(page)
    expect_arrival(page)

    csrf, transaction = f"{prefix}postern-csrf", f"{prefix}postern-tx"
    assert set(asked) == {csrf}
    assert set(under_way) == {csrf, transaction}
    assert set(kept_for(window, host)) == {csrf}
    for cookie in under_way.values():
        assert_guarded(cookie, secure=bool(prefix))
    assert under_way[csrf]["expires"] == -1
    assert 0 < float(str(under_way[transaction]["expires"])) - time.time() <= TRANSACTION_S


def test_servers_on_one_host_have_cookies_of_their_own(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    page = window.new_page()

    for sidecar in (stage.weather, stage.maps):
        open_question(page, make_client(sidecar).begin())

    names = [str(cookie.get("name")) for cookie in window.cookies(stage.weather.resource)]
    assert len(names) == len(set(names)) == 2
    assert all(name.startswith("__Host-postern-csrf-") for name in names)


def test_remembered_consent_is_kept_as_guarded_for_thirty_days(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    page, client = window.new_page(), make_client(stage.maps)
    open_question(page, client.begin())

    approve(page)
    expect_provider(page, stage.provider)

    cookie = kept_for(window, HOST)["__Host-postern-consent"]
    assert_guarded(cookie, secure=True)
    assert 29 * 86400 < float(str(cookie["expires"])) - time.time() <= 30 * 86400


def test_no_script_can_read_a_cookie_of_ours(window: BrowserContext, make_client: MakeClient) -> None:
    page = window.new_page()
    open_question(page, make_client().begin())

    assert page.evaluate("document.cookie") == ""


def test_another_host_of_the_site_cannot_plant_cookies_of_ours(
    stage: Stage, window: BrowserContext, make_client: MakeClient
) -> None:
    page, client = window.new_page(), make_client()
    open_question(page, client.begin())
    before = window.cookies(stage.weather.resource)
    (csrf,) = (str(cookie.get("name")) for cookie in before)
    page.goto(stage.front.page("other.mcp.test", "/plant", "<p>Hello"))

    page.evaluate("name => { document.cookie = `${name}=planted; Domain=mcp.test; Path=/; Secure` }", csrf)

    assert window.cookies(stage.weather.resource) == before
