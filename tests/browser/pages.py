"""What a person does on the pages of a login."""

import re

from playwright.sync_api import Page, expect

from tests.browser.client import ARRIVED
from tests.support.identity.provider import IdentityProvider


def open_question(page: Page, url: str) -> None:
    """Goes where the client sends the browser, and finds the question."""
    page.goto(url)
    expect_question(page)


def approve(page: Page) -> None:
    """Presses the button."""
    page.get_by_role("button", name="Approve").click()


def deny(page: Page) -> None:
    """Presses the other one."""
    page.get_by_role("button", name="Deny").click()


def log_in(page: Page, *, user: str = "alice") -> None:
    """Logs in at the identity provider, and gives consent there too."""
    enter_password(page, user=user)
    allow(page)


def enter_password(page: Page, *, user: str = "alice") -> None:
    """Logs in at the identity provider; the rest, where it has asked this browser for consent already."""
    page.get_by_label("User").fill(user)
    page.get_by_label("Password").fill(f"{user}-pw")
    page.get_by_role("button", name="Log in").click()


def allow(page: Page) -> None:
    """Gives consent at the identity provider."""
    page.get_by_role("button", name="Allow").click()


def expect_question(page: Page) -> None:
    """The browser shows our consent page."""
    expect(page.get_by_role("button", name="Approve")).to_be_visible()


def expect_provider(page: Page, provider: IdentityProvider) -> None:
    """The browser is at the identity provider."""
    expect(page).to_have_url(re.compile(f"^{re.escape(provider.issuer)}/interaction/"))


def expect_arrival(page: Page) -> None:
    """The browser is back at the client."""
    expect_heading(page, ARRIVED)


def expect_heading(page: Page, text: str) -> None:
    """The page is the one with this heading."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def expect_refusal(page: Page, status: int, title: str) -> None:
    """The browser shows a page of ours that refuses."""
    expect_heading(page, title)
    expect(page.locator("footer")).to_contain_text(f"Status: {status}.")
