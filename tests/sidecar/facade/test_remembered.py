"""The confused deputy: what was agreed to once must not be had without a question by anybody else (SPEC 50)."""

from typing import Any

import msgspec
import pytest

from postern_crds.sidecar_config import UpstreamConfig
from postern_sidecar.facade.artefacts import ConsentRequest, Transaction, open_as
from postern_sidecar.facade.authorize import authorize
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.cookies import CookieNames
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.facade.remembered import approval_of, is_remembered, with_approval
from postern_sidecar.sealing import Purpose
from tests.sidecar.facade.browsing import (
    ASKED,
    CHALLENGE,
    CLIENT,
    NAVIGATION,
    OTHER,
    Browser,
    make_facade,
    make_policy,
    query_of,
    registered,
    remembering,
    set_cookies,
)
from tests.sidecar.facade.building import NOW, make_context, make_request, make_ring
from tests.support.policies import PROXY, RESOURCE_URL

DAY_S = 86400


async def agreed(context: Context | None = None, **changes: Any) -> Browser:
    """A browser whose user approved once."""
    browser = Browser(context or make_facade(remembering()))
    await browser.log_in(**changes)
    return browser


def asked_again(answer: FacadeAnswer) -> bool:
    assert answer.event in ("consent_asked", "login_begun"), answer
    return answer.event == "consent_asked"


async def test_same_request_of_the_same_browser_needs_no_second_answer() -> None:
    browser = await agreed()
    answer = await browser.open(headers=NAVIGATION)
    assert answer.event == "login_begun"
    assert answer.status == 302
    state = query_of(answer)["state"]
    cookie = browser.cookies[CookieNames(PROXY.issuer).transaction(state)]
    assert open_as(browser.context.seals, Transaction, cookie) is not None


async def test_with_consent_always_nothing_is_remembered() -> None:
    browser = Browser(make_facade())
    await browser.log_in()
    assert not any("consent" in name for name in browser.cookies)


async def test_cookie_from_before_counts_nothing_once_the_policy_says_always() -> None:
    browser = await agreed()
    browser.context = make_facade()
    assert asked_again(await browser.open(headers=NAVIGATION))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="browser that does not say"),
        pytest.param({"sec-fetch-site": "cross-site"}, id="another site"),
        pytest.param({"sec-fetch-site": "same-site"}, id="a sibling host"),
        pytest.param({"sec-fetch-site": "None"}, id="other case"),
        pytest.param({"sec-fetch-site": ""}, id="empty"),
        pytest.param({"sec-fetch-site": "none, none"}, id="joined"),
        pytest.param({**NAVIGATION, "sec-fetch-dest": "iframe"}, id="frame"),
        pytest.param({**NAVIGATION, "sec-fetch-dest": "image"}, id="image"),
        pytest.param({**NAVIGATION, "sec-purpose": "prefetch"}, id="prefetch"),
        pytest.param({**NAVIGATION, "sec-purpose": "prefetch;prerender"}, id="prerender"),
        pytest.param({**NAVIGATION, "purpose": "prefetch"}, id="old prefetch"),
    ],
)
async def test_navigation_that_the_user_did_not_begin_is_asked_again(headers: dict[str, str]) -> None:
    browser = await agreed()
    assert asked_again(await browser.open(headers=headers))
    assert len(browser.transactions()) == 1


async def test_two_sec_fetch_site_headers_are_not_believed() -> None:
    browser = await agreed()
    headers = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")]
    answer = await authorize(make_request(query=ASKED, headers=headers, cookies=browser.cookies), browser.context)
    assert asked_again(answer)


@pytest.mark.parametrize("method", ["HEAD", "POST"])
async def test_only_a_get_goes_on_without_a_question(method: str) -> None:
    browser = await agreed()
    parts: dict[str, Any] = {"form": ASKED} if method == "POST" else {"query": ASKED}
    request = make_request(method, headers=NAVIGATION, cookies=browser.cookies, **parts)
    assert asked_again(await authorize(request, browser.context))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": OTHER.id, "redirect_uri": OTHER.redirect_uris[0]}, id="other client"),
        pytest.param({"redirect_uri": CLIENT.redirect_uris[2]}, id="other redirect URI"),
        pytest.param({"scope": "mcp:read mcp:write"}, id="more scopes"),
        pytest.param({"prompt": "consent"}, id="client wants a question"),
    ],
)
async def test_anything_else_is_asked_again(changes: dict[str, Any]) -> None:
    browser = await agreed(scope="mcp:read")
    assert not asked_again(await browser.open(headers=NAVIGATION, scope="mcp:read"))
    assert asked_again(await browser.open(headers=NAVIGATION, **({"scope": "mcp:read"} | changes)))


async def test_another_port_of_this_computer_is_asked_again() -> None:
    browser = await agreed(redirect_uri="http://127.0.0.1:1001/cb")
    assert asked_again(await browser.open(headers=NAVIGATION, redirect_uri="http://127.0.0.1:1002/cb"))


async def test_another_registration_with_the_same_name_is_asked_again() -> None:
    context = make_facade(remembering())
    browser = await agreed(context, client_id=registered(context, name="Claude"))
    assert asked_again(await browser.open(headers=NAVIGATION, client_id=registered(context, name="Claude")))


async def test_policy_that_asks_the_identity_provider_for_more_is_asked_again() -> None:
    browser = await agreed()
    upstream: UpstreamConfig = msgspec.structs.replace(PROXY.upstream, scopes=("openid", "drive"))
    browser.context = make_facade(remembering(upstream=upstream))
    assert asked_again(await browser.open(headers=NAVIGATION))


async def test_approval_ends_after_thirty_days() -> None:
    browser = await agreed()
    assert not asked_again(await browser.open(headers=NAVIGATION, now=NOW + 30 * DAY_S - 1))
    assert asked_again(await browser.open(headers=NAVIGATION, now=NOW + 30 * DAY_S))


async def test_refusal_is_not_remembered_as_approval() -> None:
    browser = Browser(make_facade(remembering()))
    await browser.decide(await browser.open(), "deny")
    assert asked_again(await browser.open(headers=NAVIGATION))


async def test_request_that_forbids_questions_is_told_that_a_login_is_needed() -> None:
    browser = await agreed()
    answer = await browser.open(headers=NAVIGATION, prompt="none")
    assert query_of(answer)["error"] == "login_required"


async def test_cookie_of_another_server_on_this_host_counts_nothing() -> None:
    name = CookieNames(PROXY.issuer).consent
    neighbour = make_facade(remembering(issuer=PROXY.issuer + "/other"))
    browser = await agreed(neighbour)
    (value,) = (value for cookie, value in browser.cookies.items() if "consent" in cookie)
    victim = Browser(make_facade(remembering()))
    victim.cookies[name] = value
    assert asked_again(await victim.open(headers=NAVIGATION))


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.REMEMBERED_CONSENT])
async def test_sealed_text_of_another_purpose_counts_nothing(purpose: Purpose) -> None:
    context = make_facade(remembering())
    browser = await agreed(context)
    name = CookieNames(PROXY.issuer).consent
    content = context.seals.open(Purpose.REMEMBERED_CONSENT, browser.cookies[name])
    assert content is not None
    browser.cookies[name] = context.seals.seal(purpose, content, NOW)
    assert asked_again(await browser.open(headers=NAVIGATION))


async def test_cookie_of_another_ring_counts_nothing() -> None:
    browser = await agreed(make_context(make_policy(remembering()), ring=make_ring("other")))
    browser.context = make_facade(remembering())
    assert asked_again(await browser.open(headers=NAVIGATION))


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b'[["x"]]', b"[[1,2]]", b"[" * 1000])
async def test_sealed_content_of_another_shape_counts_nothing(content: bytes) -> None:
    context = make_facade(remembering())
    browser = Browser(context)
    browser.cookies[CookieNames(PROXY.issuer).consent] = context.seals.seal(Purpose.REMEMBERED_CONSENT, content, NOW)
    assert asked_again(await browser.open(headers=NAVIGATION))


def request_of(client_id: str) -> ConsentRequest:
    return ConsentRequest(
        client_id=client_id,
        redirect_uri="https://a.example/cb",
        challenge=CHALLENGE,
        scopes=("a", "b"),
        resource=RESOURCE_URL,
        expires_at=0,
        browser="",
    )


def test_twenty_approvals_are_kept_and_the_oldest_gives_way() -> None:
    seals = make_facade(remembering()).seals
    approvals = [approval_of(request_of(f"client-{i}"), ()) for i in range(21)]
    cookie: str | None = None
    for approval in approvals:
        cookie = with_approval(cookie, approval, seals=seals, now=NOW)
    known = [is_remembered(cookie, approval, seals=seals, now=NOW) for approval in approvals]
    assert known == [False] + [True] * 20
    assert len(cookie or "") < 2500


def test_approval_given_anew_is_kept_once_and_longest() -> None:
    seals = make_facade(remembering()).seals
    first, second = (approval_of(request_of(name), ()) for name in ("first", "second"))
    cookie = with_approval(None, first, seals=seals, now=NOW)
    cookie = with_approval(cookie, second, seals=seals, now=NOW)
    cookie = with_approval(cookie, first, seals=seals, now=NOW + DAY_S)
    assert is_remembered(cookie, first, seals=seals, now=NOW + 30 * DAY_S)
    assert not is_remembered(cookie, second, seals=seals, now=NOW + 30 * DAY_S)


def test_order_of_scopes_makes_no_other_approval() -> None:
    asked = request_of("client")
    turned = msgspec.structs.replace(asked, scopes=("b", "a"))
    assert approval_of(asked, ("x", "y")) == approval_of(turned, ("y", "x"))


def test_parts_of_an_approval_cannot_be_moved_between_each_other() -> None:
    asked = request_of("client")
    moved = msgspec.structs.replace(asked, scopes=("a",))
    assert approval_of(asked, ()) != approval_of(moved, ("b",))
    assert approval_of(asked, ("c",)) != approval_of(msgspec.structs.replace(asked, scopes=("a", "b", "c")), ())


async def test_cookie_lives_thirty_days_at_this_host() -> None:
    browser = Browser(make_facade(remembering()))
    answer = await browser.decide(await browser.open())
    (line,) = (line for line in set_cookies(answer) if "consent" in line)
    assert line.endswith("; Path=/; Max-Age=2592000; Secure; HttpOnly; SameSite=Lax")
