import base64
import hashlib
import re

import msgspec
import pytest

from postern_crds.sidecar_config import Parameter, ProxyConfig
from postern_sidecar.facade.artefacts import ConsentRequest, Transaction, fingerprint, open_as, seal_as
from postern_sidecar.facade.consent import consent
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.cookies import CookieNames
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.sealing import Purpose
from tests.sidecar.facade.browsing import (
    CHALLENGE,
    CLIENT,
    ISSUER,
    LOGIN,
    OTHER,
    REDIRECT,
    Browser,
    Form,
    assert_page,
    location_of,
    make_facade,
    make_policy,
    query_of,
    registered,
    set_cookies,
)
from tests.sidecar.facade.building import NOW, header_of, make_context, make_request, make_ring
from tests.support.policies import PROXY, RESOURCE_URL

NAMES = CookieNames(ISSUER)
SAME_SITE = {"origin": ISSUER, "sec-fetch-site": "same-origin"}


def upstream(**changes: object) -> ProxyConfig:
    return msgspec.structs.replace(PROXY, upstream=msgspec.structs.replace(PROXY.upstream, **changes))


def transaction_of(browser: Browser, state: str) -> Transaction:
    transaction = open_as(browser.context.seals, Transaction, browser.cookies[NAMES.transaction(state)])
    assert transaction is not None
    return transaction


def assert_refused(browser: Browser, answer: FacadeAnswer, status: int, event: str) -> None:
    assert_page(answer, status, event)
    assert not browser.transactions()
    assert not set_cookies(answer)


# Approved


async def test_approval_leads_to_the_identity_provider_with_our_own_state_pkce_and_nonce() -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(await browser.open(scope="mcp:read"))
    assert (answer.status, answer.event, answer.client_id) == (303, "login_begun", CLIENT.id)
    assert location_of(answer).startswith(LOGIN + "?")
    query = query_of(answer)
    transaction = transaction_of(browser, query["state"])
    digest = base64.urlsafe_b64encode(hashlib.sha256(transaction.verifier.encode()).digest()).rstrip(b"=").decode()
    assert query == {
        "response_type": "code",
        "client_id": "postern-client",
        "redirect_uri": "https://mcp.example.com/oauth/callback",
        "scope": "openid mcp:read offline_access",
        "state": transaction.upstream_state,
        "code_challenge": digest,
        "code_challenge_method": "S256",
        "nonce": transaction.nonce,
    }
    assert len(transaction.verifier) == 43
    assert len(transaction.upstream_state) == len(transaction.nonce) == 22


async def test_cookie_knows_for_whom_the_login_is() -> None:
    browser = Browser(make_facade())
    transaction = transaction_of(browser, (await browser.log_in(scope="mcp:read"))["state"])
    assert transaction.client == fingerprint(CLIENT.id)
    assert (transaction.redirect_uri, transaction.challenge, transaction.state) == (REDIRECT, CHALLENGE, "client-state")
    assert (transaction.scopes, transaction.resource) == (("mcp:read",), RESOURCE_URL)
    assert transaction.expires_at == NOW + 600


async def test_cookie_of_the_login_is_bound_to_host_and_time_and_is_small_enough() -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(await browser.open(state="x" * 1024))
    (line,) = set_cookies(answer)
    assert re.match(r"__Host-postern-tx-[A-Za-z0-9_-]{16}=", line)
    assert line.endswith("; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax")
    assert len(line) <= 4000
    assert header_of(answer, "referrer-policy") == "no-referrer"
    assert header_of(answer, "cache-control") == "no-store"


async def test_nothing_of_the_client_travels_to_the_identity_provider_in_the_clear() -> None:
    browser = Browser(make_facade())
    location = location_of(await browser.decide(await browser.open()))
    for part in (CLIENT.id, "client-state", "client.example.org", CHALLENGE):
        assert part not in location


async def test_each_login_has_state_verifier_and_nonce_of_its_own() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    answers = [query_of(await browser.decide(page)) for _ in range(3)]
    for name in ("state", "code_challenge", "nonce"):
        assert len({answer[name] for answer in answers}) == 3


async def test_double_click_begins_two_logins_of_which_each_works() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    states = [query_of(await browser.decide(page))["state"] for _ in range(2)]
    for state in states:
        assert (await browser.come_back({"state": state, "code": "c"})).event == "code_issued"


async def test_two_tabs_do_not_disturb_each_other() -> None:
    browser = Browser(make_facade())
    first, second = await browser.open(state="first"), await browser.open(state="second")
    for page, state in ((second, "second"), (first, "first")):
        begun = query_of(await browser.decide(page))
        assert query_of(await browser.come_back({"state": begun["state"], "code": "c"}))["state"] == state


async def test_back_button_leads_to_a_page_that_still_works() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    begun = query_of(await browser.decide(page))
    await browser.come_back({"state": begun["state"], "error": "access_denied"})
    assert (await browser.decide(page)).event == "login_begun"
    assert (await browser.decide(await browser.open())).event == "login_begun"


async def test_public_client_without_refresh_tokens_asks_for_no_offline_access() -> None:
    context = make_facade()
    client_id = registered(context, grant_types=("authorization_code",))
    assert (await Browser(context).log_in(client_id=client_id))["scope"] == "openid mcp:read mcp:write"


async def test_parameters_of_the_policy_are_sent_and_never_replace_those_of_the_protocol() -> None:
    extra = (Parameter("access_type", "offline"), Parameter("prompt", "consent"), Parameter("state", "fixed"))
    query = await Browser(make_facade(upstream(authorize_params=extra))).log_in()
    assert (query["access_type"], query["prompt"]) == ("offline", "consent")
    assert len(query["state"]) == 22


async def test_identity_provider_without_openid_gets_no_nonce_and_without_scopes_no_scope() -> None:
    context = make_facade(upstream(openid=False, scopes=(), offline_scope=""), verification={"supported_scopes": ()})
    assert {"nonce", "scope"}.isdisjoint(await Browser(context).log_in())


async def test_resource_is_sent_only_where_it_is_understood() -> None:
    assert "resource" not in await Browser(make_facade()).log_in()
    assert (await Browser(make_facade(upstream(sends_resource=True))).log_in())["resource"] == RESOURCE_URL


async def test_endpoint_with_a_query_keeps_it() -> None:
    endpoints = msgspec.structs.replace(make_policy().issuer.endpoints, authorization=LOGIN + "?p=B2C_1_x")
    browser = Browser(make_facade(issuer={"metadata_urls": (), "endpoints": endpoints}))
    assert location_of(await browser.decide(await browser.open())).startswith(LOGIN + "?p=B2C_1_x&response_type=code&")


async def test_development_on_http_has_cookies_that_browsers_take_there() -> None:
    proxy = msgspec.structs.replace(PROXY, issuer="http://localhost:8080")
    browser = Browser(make_facade(proxy, resource={"url": "http://localhost:8080/mcp"}))
    headers = {"origin": "http://localhost:8080", "sec-fetch-site": "same-origin"}
    answer = await browser.decide(await browser.open(), headers=headers)
    begun = query_of(answer)
    (line,) = set_cookies(answer)
    assert line.startswith("postern-tx-")
    assert "Secure" not in line
    assert (await browser.come_back({"state": begun["state"], "code": "c"})).event == "code_issued"


# Denied


async def test_refusal_is_told_to_the_client_and_begins_no_login() -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(await browser.open(), "deny")
    assert (answer.status, answer.event) == (303, "access_denied")
    assert location_of(answer).startswith(REDIRECT + "?")
    query = query_of(answer)
    assert (query["error"], query["state"], query["iss"]) == ("access_denied", "client-state", ISSUER)
    assert not browser.transactions()


@pytest.mark.parametrize("decision", [None, "", "Approve", "yes", "approve deny"])
async def test_form_without_a_decision_approves_nothing(decision: str | None) -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(await browser.open(), decision)
    assert_refused(browser, answer, 400, "invalid_request")


async def test_both_decisions_at_once_approve_nothing() -> None:
    browser = Browser(make_facade())
    form = [*Form((await browser.open()).body).fields.items(), ("decision", "deny"), ("decision", "approve")]
    answer = await consent(make_request("POST", form=form, headers=SAME_SITE, cookies=browser.cookies), browser.context)
    assert_refused(browser, answer, 400, "invalid_request")


# Forged


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"origin": "https://evil.example"}, id="origin"),
        pytest.param({"origin": "null"}, id="opaque origin"),
        pytest.param({"origin": "http://mcp.example.com"}, id="scheme"),
        pytest.param({"origin": "https://mcp.example.com:8443"}, id="port"),
        pytest.param({"origin": "https://mcp.example.com.evil.example"}, id="longer host"),
        pytest.param({"origin": "https://mcp.example.com/"}, id="slash"),
        pytest.param({"origin": ""}, id="empty"),
        pytest.param({"sec-fetch-site": "cross-site"}, id="cross-site"),
        pytest.param({"sec-fetch-site": "same-site"}, id="same-site"),
        pytest.param({"sec-fetch-site": "none"}, id="none"),
        pytest.param({"origin": ISSUER, "sec-fetch-site": "cross-site"}, id="right origin from elsewhere"),
        pytest.param({"origin": "https://evil.example", "sec-fetch-site": "same-origin"}, id="wrong origin"),
    ],
)
async def test_form_from_another_site_is_refused(headers: dict[str, str]) -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(await browser.open(), headers=headers)
    assert_refused(browser, answer, 403, "forged_consent")


async def test_two_origins_are_refused() -> None:
    browser = Browser(make_facade())
    form = {**Form((await browser.open()).body).fields, "decision": "approve"}
    headers = [("origin", ISSUER), ("origin", "https://evil.example")]
    answer = await consent(make_request("POST", form=form, headers=headers, cookies=browser.cookies), browser.context)
    assert_refused(browser, answer, 403, "forged_consent")


async def test_browser_that_names_neither_origin_nor_site_is_known_by_its_cookie() -> None:
    browser = Browser(make_facade())
    assert (await browser.decide(await browser.open(), headers={})).event == "login_begun"


async def test_origin_is_compared_as_browsers_write_it() -> None:
    proxy = msgspec.structs.replace(PROXY, issuer="https://MCP.example.com:443/weather")
    browser = Browser(make_facade(proxy))
    answer = await browser.decide(await browser.open(), headers={"origin": "https://mcp.example.com"})
    assert answer.event == "login_begun"


async def test_form_without_the_cookie_is_refused() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    browser.cookies.clear()
    assert_refused(browser, await browser.decide(page), 403, "forged_consent")


@pytest.mark.parametrize("csrf", ["", "A" * 22, "ü"])
async def test_form_whose_secret_is_not_the_cookies_is_refused(csrf: str) -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(await browser.open(), csrf=csrf)
    assert_refused(browser, answer, 403, "forged_consent")


async def test_empty_cookie_and_empty_secret_are_no_match() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    browser.cookies[NAMES.csrf] = ""
    assert_refused(browser, await browser.decide(page, csrf=""), 403, "forged_consent")


async def test_cookie_with_two_values_is_no_match() -> None:
    browser = Browser(make_facade())
    form = {**Form((await browser.open()).body).fields, "decision": "approve"}
    cookies = f"{NAMES.csrf}={'A' * 22}; {NAMES.csrf}={form['csrf']}"
    request = make_request("POST", form=form, headers={**SAME_SITE, "cookie": cookies})
    assert_refused(browser, await consent(request, browser.context), 403, "forged_consent")


async def test_request_that_was_sealed_for_the_attackers_browser_is_refused() -> None:
    context = make_facade()
    attacker, victim = Browser(context), Browser(context)
    theirs = Form((await attacker.open(redirect_uri=CLIENT.redirect_uris[2])).body)
    answer = await victim.decide(await victim.open(), request=theirs.fields["request"])
    assert_refused(victim, answer, 403, "forged_consent")


async def test_get_approves_nothing() -> None:
    browser = Browser(make_facade())
    form = {**Form((await browser.open()).body).fields, "decision": "approve"}
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        request = make_request(method, query=form, headers=SAME_SITE, cookies=browser.cookies)
        answer = await consent(request, browser.context)
        assert_refused(browser, answer, 405, "method_not_allowed")
        assert header_of(answer, "allow") == "POST"


async def test_form_in_the_query_of_a_post_is_not_read() -> None:
    browser = Browser(make_facade())
    form = {**Form((await browser.open()).body).fields, "decision": "approve"}
    request = make_request("POST", query=form, form={}, headers=SAME_SITE, cookies=browser.cookies)
    assert_refused(browser, await consent(request, browser.context), 403, "forged_consent")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
async def test_body_of_another_type_is_refused(content_type: str) -> None:
    request = make_request("POST", body=b"decision=approve", headers={**SAME_SITE, "content-type": content_type})
    assert_page(await consent(request, make_facade()), 400, "invalid_request")


# Spoilt, swapped, too late


async def test_page_that_was_open_for_too_long_is_refused() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    assert_refused(browser, await browser.decide(page, now=NOW + 600), 400, "expired")
    assert (await browser.decide(page, now=NOW + 599)).event == "login_begun"


@pytest.mark.parametrize("spoilt", ["", "x", "a.b.c.d.e", "A" * 20000, "ü"])
async def test_spoilt_request_is_refused(spoilt: str) -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(await browser.open(), request=spoilt)
    assert_refused(browser, answer, 400, "invalid_request")


async def test_request_with_one_letter_changed_is_refused() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    sealed = Form(page.body).fields["request"]
    i = sealed.rindex(".") - 5
    changed = sealed[:i] + ("A" if sealed[i] != "A" else "B") + sealed[i + 1 :]
    assert_refused(browser, await browser.decide(page, request=changed), 400, "invalid_request")


async def test_fields_beside_the_sealed_request_change_nothing() -> None:
    browser = Browser(make_facade())
    answer = await browser.decide(
        await browser.open(), redirect_uri="https://evil.example/", client_id=OTHER.id, scope="admin", state="evil"
    )
    transaction = transaction_of(browser, query_of(answer)["state"])
    assert (transaction.redirect_uri, transaction.state) == (REDIRECT, "client-state")
    assert transaction.client == fingerprint(CLIENT.id)


def sealed_for(browser: Browser, context: Context, **changes: object) -> str:
    """A consent request for this browser, sealed by the context."""
    asked = ConsentRequest(
        client_id=CLIENT.id,
        redirect_uri=REDIRECT,
        challenge=CHALLENGE,
        scopes=(),
        resource=RESOURCE_URL,
        expires_at=int(NOW) + 600,
        browser=fingerprint(browser.cookies[NAMES.csrf]),
    )
    return seal_as(context.seals, msgspec.structs.replace(asked, **changes), NOW)


async def test_request_of_another_ring_or_issuer_is_refused() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    other_ring = make_context(make_policy(), ring=make_ring("other"))
    neighbour = make_facade(msgspec.structs.replace(PROXY, issuer=ISSUER + "/other"))
    for context in (other_ring, neighbour):
        answer = await browser.decide(page, request=sealed_for(browser, context))
        assert_refused(browser, answer, 400, "invalid_request")
    assert (await browser.decide(page, request=sealed_for(browser, browser.context))).event == "login_begun"


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.CONSENT_REQUEST])
async def test_sealed_text_of_another_purpose_is_refused(purpose: Purpose) -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    content = browser.context.seals.open(Purpose.CONSENT_REQUEST, sealed_for(browser, browser.context))
    assert content is not None
    answer = await browser.decide(page, request=browser.context.seals.seal(purpose, content, NOW))
    assert_refused(browser, answer, 400, "invalid_request")


async def test_client_that_was_taken_out_of_the_policy_meanwhile_gets_nothing() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    browser.context = make_facade(msgspec.structs.replace(PROXY, clients=(OTHER,)))
    for decision in ("approve", "deny"):
        assert_refused(browser, await browser.decide(page, decision), 400, "invalid_client")


async def test_redirect_uri_that_was_taken_out_of_the_policy_meanwhile_is_not_followed() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    changed = msgspec.structs.replace(CLIENT, redirect_uris=("https://client.example.org/new",))
    browser.context = make_facade(msgspec.structs.replace(PROXY, clients=(changed,)))
    for decision in ("approve", "deny"):
        assert_refused(browser, await browser.decide(page, decision), 400, "invalid_redirect_uri")


async def test_any_replica_with_the_same_ring_takes_the_answer() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    browser.context = make_facade()
    begun = query_of(await browser.decide(page))
    browser.context = make_facade()
    assert (await browser.come_back({"state": begun["state"], "code": "c"})).event == "code_issued"


# Too many cookies


async def test_browser_holds_at_most_four_logins_of_which_the_latest_work() -> None:
    browser = Browser(make_facade())
    page = await browser.open()
    begun = [query_of(await browser.decide(page, now=NOW + i))["state"] for i in range(7)]
    assert len(browser.transactions()) == 4
    for state in begun[-4:]:
        assert (await browser.come_back({"state": state, "code": "c"}, now=NOW + 8)).event == "code_issued"


async def test_large_logins_give_way_earlier_so_that_headers_stay_small() -> None:
    browser = Browser(make_facade())
    page = await browser.open(state="x" * 1024)
    for i in range(6):
        await browser.decide(page, now=NOW + i)
    assert sum(len(name) + len(browser.cookies[name]) for name in browser.transactions()) <= 6000


async def test_logins_that_ended_are_taken_out() -> None:
    browser = Browser(make_facade())
    await browser.decide(await browser.open())
    old = browser.transactions()
    await browser.decide(await browser.open(now=NOW + 700), now=NOW + 700)
    assert len(browser.transactions()) == 1
    assert browser.transactions() != old


async def test_logins_of_another_server_on_this_host_are_left_alone() -> None:
    browser = Browser(make_facade())
    neighbours = {f"__Host-postern-tx-{i:016}": f"neighbour-{i}" for i in range(30)}
    browser.cookies.update(neighbours)
    for _ in range(6):
        await browser.decide(await browser.open())
    assert neighbours.items() <= browser.cookies.items()
