import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar.facade.display import destination, host_of, provider_name, visible

RIGHT_TO_LEFT = "\N{RIGHT-TO-LEFT OVERRIDE}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{RIGHT_TO_LEFT}edualC", id="override"),
        pytest.param("a\N{RIGHT-TO-LEFT ISOLATE}b", id="isolate"),
        pytest.param("a\N{RIGHT-TO-LEFT MARK}b", id="mark"),
        pytest.param("Claude\N{ZERO WIDTH SPACE}", id="zero width"),
        pytest.param("a\x1b[31mb", id="escape"),
        pytest.param("a\x00b", id="null"),
        pytest.param("a\N{LINE SEPARATOR}b", id="line separator"),
        pytest.param("a\N{TAG LATIN SMALL LETTER A}b", id="tag"),
        pytest.param("a\ue000b", id="private use"),
    ],
)
def test_characters_that_hide_or_turn_text_are_replaced(text: str) -> None:
    shown = visible(text)
    assert "\N{REPLACEMENT CHARACTER}" in shown
    assert all(unicodedata.category(character)[0] != "C" for character in shown)


def test_name_is_one_line() -> None:
    assert visible(" Claude\r\n\r\n\tApproved by\N{NO-BREAK SPACE}IT  ") == "Claude Approved by IT"


def test_long_name_is_cut_visibly() -> None:
    assert visible("x" * 1000) == "x" * 79 + "…"
    assert visible("x" * 80) == "x" * 80


def test_marks_do_not_grow_over_other_lines() -> None:
    assert visible("Z" + "\N{COMBINING TILDE}" * 500).count("\N{COMBINING TILDE}") <= 2


def test_ordinary_names_stay() -> None:
    for name in ("Claude", "VS Code", "Mäx & Söhne <GmbH>", "日本語クライアント", "Cursor (v1.2)", "🚀 Rocket"):
        assert visible(name) == name


def test_letters_in_disguise_are_shown_plainly() -> None:
    assert visible("\N{MATHEMATICAL BOLD CAPITAL C}\N{FULLWIDTH LATIN SMALL LETTER L}aude") == "Claude"


@given(st.text(max_size=2000), st.integers(1, 200))
def test_whatever_comes_is_one_short_line_without_control(text: str, limit: int) -> None:
    shown = visible(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)


@pytest.mark.parametrize(
    ("uri", "kind", "name"),
    [
        ("https://claude.ai/api/mcp/auth_callback", "web", "claude.ai"),
        ("https://chatgpt.com/connector/oauth/abc", "web", "chatgpt.com"),
        ("https://accounts.google.com@evil.example/cb", "web", "evil.example"),
        ("https://client.example:8443/cb", "web", "client.example:8443"),
        ("https://localhost.evil.example/cb", "web", "localhost.evil.example"),
        ("http://localhost:33418/", "loopback", "localhost:33418"),
        ("http://LOCALHOST:1/", "loopback", "LOCALHOST:1"),
        ("http://127.0.0.1/cb", "loopback", "127.0.0.1"),
        ("http://[::1]:9/cb", "loopback", "[::1]:9"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "application", "cursor"),
        ("com.example.app:/oauth", "application", "com.example.app"),
    ],
)
def test_destination_is_what_the_browser_will_reach(uri: str, kind: str, name: str) -> None:
    shown = destination(uri)
    assert (shown.kind, shown.name) == (kind, name)


def test_providers_have_the_names_that_people_know() -> None:
    assert provider_name("google", "https://accounts.google.com") == "Google"
    assert provider_name("custom", "https://sso.example.com/realms/x") == "sso.example.com"
    assert host_of("https://user@sso.example.com:1/x") == "sso.example.com:1"
