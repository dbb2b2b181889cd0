"""How the pages look: on a phone, in the dark, with the longest of texts."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import MakeClient, NewWindow
from tests.browser.pages import open_question
from tests.browser.stage import Stage

PHONE = {"width": 320, "height": 640}
READABLE = 4.5
"""Contrast of text (WCAG 2.2 success criterion 1.4.3, AA)."""
TOUCHABLE_PX = 44
# Luminance and contrast as WCAG 2.2 defines them, of every element that has text of its own.
CONTRASTS = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    const isSolid = channels(color).length === 3 || channels(color)[3] === 1;
    return isSolid ? color : ground(element.parentElement);
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.querySelectorAll('main, main *')].filter(hasText).map((element) => {
    const lights = [getComputedStyle(element).color, ground(element)].map(luminance).sort((a, b) => b - a);
    return [element.textContent.trim().slice(0, 40), (lights[0] + 0.05) / (lights[1] + 0.05)];
  });
}"""


def page_of(new_window: NewWindow, **options: Any) -> Page:
    return new_window(**options).new_page()


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    root = page.locator("html")
    return int(root.evaluate("root => root.scrollWidth - root.clientWidth"))


@pytest.mark.parametrize("name", ["Claude Code", "W" * 100, "\u0645" * 100], ids=["short", "wide", "right to left"])
def test_question_fits_a_phone(new_window: NewWindow, make_client: MakeClient, name: str) -> None:
    page = page_of(new_window, viewport=PHONE, has_touch=True, is_mobile=True)
    client = make_client(name=name, redirect_uri="https://client.example.org/" + "long/" * 60)

    open_question(page, client.begin())

    assert overflow(page) == 0
    for label in ("Approve", "Deny"):
        box = page.get_by_role("button", name=label).bounding_box()
        assert box is not None
        assert box["height"] >= TOUCHABLE_PX
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


def test_refusal_fits_a_phone(stage: Stage, new_window: NewWindow) -> None:
    page = page_of(new_window, viewport=PHONE, is_mobile=True)

    page.goto(f"{stage.weather.issuer}/authorize?client_id=unknown")

    expect(page.get_by_role("heading", level=1)).to_have_text("This application is not known here")
    assert overflow(page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("redirect_uri", ["", "https://client.example.org/cb", "cursor://cb"])
def test_text_can_be_read_by_day_and_by_night(
    new_window: NewWindow, make_client: MakeClient, scheme: str, redirect_uri: str
) -> None:
    page = page_of(new_window, color_scheme=scheme)
    open_question(page, make_client(redirect_uri=redirect_uri).begin())

    contrasts: list[tuple[str, float]] = page.evaluate(CONTRASTS)

    assert len(contrasts) > 10
    assert [(text, ratio) for text, ratio in contrasts if ratio < READABLE] == []


def test_dark_page_is_dark(new_window: NewWindow, make_client: MakeClient) -> None:
    client = make_client()
    grounds = []
    for scheme in ("light", "dark"):
        page = page_of(new_window, color_scheme=scheme)
        open_question(page, client.begin())
        color = page.locator("main").evaluate("main => getComputedStyle(main).backgroundColor")
        grounds.append(max(int(part) for part in re.findall("[0-9]+", color)))

    light, dark = grounds
    assert light > 200
    assert dark < 60


def test_keyboard_alone_is_enough(new_window: NewWindow, make_client: MakeClient) -> None:
    page = page_of(new_window)
    client = make_client()
    open_question(page, client.begin())

    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Deny")).to_be_focused()
    page.keyboard.press("Enter")

    assert client.answer()["error"] == "access_denied"
