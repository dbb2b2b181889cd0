import msgspec
import pytest

from postern_sidecar.errors import IdpUnreachable
from postern_sidecar.facade.artefacts import Code, Transaction, fingerprint, open_as
from postern_sidecar.facade.callback import callback
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.cookies import CookieNames
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.sealing import Purpose
from tests.sidecar.facade.browsing import (
    CHALLENGE,
    CLIENT,
    ISSUER,
    REDIRECT,
    Browser,
    assert_page,
    location_of,
    make_facade,
    make_facade_with_metadata,
    make_policy,
    query_of,
    set_cookies,
)
from tests.sidecar.facade.building import NOW, header_of, make_context, make_request, make_ring
from tests.support.logs import capture_logs
from tests.support.policies import PROXY, RESOURCE_URL

NAMES = CookieNames(ISSUER)
SSO = "https://sso.example.com"


async def begun(context: Context | None = None, **changes: str | None) -> tuple[Browser, str]:
    """A browser at the identity provider, and the state with which it is there."""
    browser = Browser(context or make_facade())
    return browser, (await browser.log_in(**changes))["state"]


def assert_dropped(browser: Browser, answer: FacadeAnswer, status: int, event: str) -> None:
    """The client learns nothing, and the login is over."""
    assert_page(answer, status, event)
    assert not browser.transactions()


# In order


async def test_code_of_the_identity_provider_reaches_the_client_sealed() -> None:
    browser, state = await begun(scope="mcp:read")
    transaction = open_as(browser.context.seals, Transaction, browser.cookies[NAMES.transaction(state)])
    assert transaction is not None
    answer = await browser.come_back({"state": state, "code": "upstream-code"})
    assert (answer.status, answer.event) == (302, "code_issued")
    assert location_of(answer).startswith(REDIRECT + "?code=")
    query = query_of(answer)
    assert query.keys() == {"code", "state", "iss"}
    assert (query["state"], query["iss"]) == ("client-state", ISSUER)
    assert open_as(browser.context.seals, Code, query["code"]) == Code(
        upstream_code="upstream-code",
        verifier=transaction.verifier,
        nonce=transaction.nonce,
        client=fingerprint(CLIENT.id),
        redirect_uri=REDIRECT,
        challenge=CHALLENGE,
        scopes=("mcp:read",),
        resource=RESOURCE_URL,
        expires_at=int(NOW) + 60,
    )
    assert "upstream-code" not in location_of(answer)


async def test_redirect_is_not_stored_and_tells_nothing_of_where_it_came_from() -> None:
    browser, state = await begun()
    answer = await browser.come_back({"state": state, "code": "c"})
    assert header_of(answer, "cache-control") == "no-store"
    assert header_of(answer, "referrer-policy") == "no-referrer"


async def test_client_that_sent_no_state_gets_none() -> None:
    browser, state = await begun(state=None)
    assert query_of(await browser.come_back({"state": state, "code": "c"})).keys() == {"code", "iss"}


@pytest.mark.parametrize("client_state", ["a b+c%20&d=e#f", "x\r\nSet-Cookie: a=b", "ü€😀", "\x7f\x00"])
async def test_state_of_the_client_comes_back_as_it_was(client_state: str) -> None:
    browser, state = await begun(state=client_state)
    answer = await browser.come_back({"state": state, "code": "c"})
    assert query_of(answer)["state"] == client_state
    assert location_of(answer).isprintable()


@pytest.mark.parametrize("uri", ["http://127.0.0.1:49152/cb", "cursor://anysphere.cursor-mcp/oauth/callback"])
async def test_native_clients_are_reached(uri: str) -> None:
    browser, state = await begun(redirect_uri=uri)
    assert location_of(await browser.come_back({"state": state, "code": "c"})).startswith(uri + "?code=")


async def test_cookie_is_deleted_with_success_and_with_failure() -> None:
    for query in ({"code": "c"}, {"error": "access_denied"}, {}, {"code": "c", "iss": "https://evil.example"}):
        browser, state = await begun()
        answer = await browser.come_back({"state": state, **query})
        (line,) = set_cookies(answer)
        assert line.startswith(NAMES.transaction(state) + "=; ")
        assert "Max-Age=0" in line
        assert not browser.transactions()


async def test_further_parameters_of_the_identity_provider_are_ignored() -> None:
    browser, state = await begun()
    query = {"state": state, "code": "c", "session_state": "x", "scope": "openid", "authuser": "0"}
    assert query_of(await browser.come_back(query)).keys() == {"code", "state", "iss"}


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
async def test_other_methods_use_nothing_up(method: str) -> None:
    browser, state = await begun()
    request = make_request(method, query={"state": state, "code": "c"}, cookies=browser.cookies)
    answer = await callback(request, browser.context)
    assert_page(answer, 405, "method_not_allowed")
    assert header_of(answer, "allow") == "GET"
    assert not set_cookies(answer)


# Not this browser's login


async def test_login_that_returns_in_another_browser_is_refused() -> None:
    _, state = await begun()
    victim = Browser(make_facade())
    assert_dropped(victim, await victim.come_back({"state": state, "code": "c"}), 403, "foreign_browser")


async def test_state_of_the_attackers_login_is_refused_in_a_browser_with_a_login_of_its_own() -> None:
    _, attackers = await begun()
    victim, state = await begun()
    answer = await victim.come_back({"state": attackers, "code": "attackers-code"})
    assert_page(answer, 403, "foreign_browser")
    assert (await victim.come_back({"state": state, "code": "c"})).event == "code_issued"


async def test_cookie_of_one_login_under_the_name_of_another_is_refused() -> None:
    browser, state = await begun()
    _, attackers = await begun()
    browser.cookies[NAMES.transaction(attackers)] = browser.cookies.pop(NAMES.transaction(state))
    answer = await browser.come_back({"state": attackers, "code": "c"})
    assert_dropped(browser, answer, 403, "foreign_browser")


@pytest.mark.parametrize("state", [None, "", "x", "x" * 100_000, "client-state", "ü", "\r\n"])
async def test_state_that_is_none_of_ours_is_refused(state: str | None) -> None:
    browser, _ = await begun()
    answer = await browser.come_back({"code": "c"} if state is None else {"state": state, "code": "c"})
    assert_page(answer, 403, "foreign_browser")
    assert not set_cookies(answer)


async def test_replayed_return_is_refused() -> None:
    browser, state = await begun()
    query = {"state": state, "code": "c"}
    assert (await browser.come_back(query)).event == "code_issued"
    assert_dropped(browser, await browser.come_back(query), 403, "foreign_browser")


async def test_cookie_with_two_values_is_refused() -> None:
    browser, state = await begun()
    name = NAMES.transaction(state)
    headers = {"cookie": f"{name}=x; {name}={browser.cookies[name]}"}
    request = make_request(query={"state": state, "code": "c"}, headers=headers)
    assert_page(await callback(request, browser.context), 403, "foreign_browser")


async def test_login_that_took_too_long_is_refused() -> None:
    browser, state = await begun()
    answer = await browser.come_back({"state": state, "code": "c"}, now=NOW + 600)
    assert_dropped(browser, answer, 400, "expired")


async def test_cookie_of_another_ring_is_refused() -> None:
    browser, state = await begun(make_context(make_policy(), ring=make_ring("other")))
    browser.context = make_facade()
    answer = await browser.come_back({"state": state, "code": "c"})
    assert_dropped(browser, answer, 403, "foreign_browser")


async def test_cookie_of_another_server_on_this_host_is_refused() -> None:
    neighbour = make_facade(msgspec.structs.replace(PROXY, issuer=ISSUER + "/other"))
    browser, state = await begun(neighbour)
    browser.context = make_facade()
    answer = await browser.come_back({"state": state, "code": "c"})
    assert_dropped(browser, answer, 403, "foreign_browser")


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.TRANSACTION])
async def test_sealed_text_of_another_purpose_is_refused(purpose: Purpose) -> None:
    browser, state = await begun()
    name = NAMES.transaction(state)
    content = browser.context.seals.open(Purpose.TRANSACTION, browser.cookies[name])
    assert content is not None
    browser.cookies[name] = browser.context.seals.seal(purpose, content, NOW)
    answer = await browser.come_back({"state": state, "code": "c"})
    assert_dropped(browser, answer, 403, "foreign_browser")


async def test_spoilt_cookie_is_refused() -> None:
    browser, state = await begun()
    name = NAMES.transaction(state)
    browser.cookies[name] = browser.cookies[name][:-4] + "AAAA"
    answer = await browser.come_back({"state": state, "code": "c"})
    assert_dropped(browser, answer, 403, "foreign_browser")


@pytest.mark.parametrize("extra", [("state", "x"), ("code", "other"), ("iss", "x")])
async def test_parameter_that_is_given_twice_is_refused(extra: tuple[str, str]) -> None:
    browser, state = await begun()
    pairs = [("state", state), ("code", "c"), ("iss", SSO), extra]
    answer = await callback(make_request(query=pairs, cookies=browser.cookies), browser.context)
    assert_page(answer, 400, "invalid_request")


# Another issuer's answer (RFC 9207)


async def test_issuer_that_was_promised_and_named_is_accepted() -> None:
    browser, state = await begun(make_facade_with_metadata(iss_parameter=True))
    assert (await browser.come_back({"state": state, "code": "c", "iss": SSO})).event == "code_issued"


@pytest.mark.parametrize("iss", [None, "", "https://evil.example", SSO + "/", SSO.upper(), ISSUER])
@pytest.mark.parametrize("outcome", [{"code": "c"}, {"error": "access_denied"}], ids=["code", "error"])
async def test_promised_issuer_that_is_missing_or_another_is_refused(iss: str | None, outcome: dict[str, str]) -> None:
    browser, state = await begun(make_facade_with_metadata(iss_parameter=True))
    query = {"state": state, **outcome} if iss is None else {"state": state, "iss": iss, **outcome}
    assert_dropped(browser, await browser.come_back(query), 400, "wrong_issuer")


async def test_promised_issuer_is_the_one_of_the_metadata_alone() -> None:
    context = make_facade_with_metadata(iss_parameter=True)
    other = msgspec.structs.replace(context.config.issuer, other_issuers=("https://also.example.com",))
    context = make_context(msgspec.structs.replace(context.config, issuer=other), idp=context.idp)
    browser, state = await begun(context)
    query = {"state": state, "code": "c", "iss": "https://also.example.com"}
    assert_dropped(browser, await browser.come_back(query), 400, "wrong_issuer")


@pytest.mark.parametrize("metadata", [True, False], ids=["metadata", "no metadata"])
async def test_issuer_that_was_not_promised_may_be_missing_and_must_be_right(metadata: bool) -> None:
    def context() -> Context:
        return make_facade_with_metadata(iss_parameter=False) if metadata else make_facade()

    browser, state = await begun(context())
    assert (await browser.come_back({"state": state, "code": "c"})).event == "code_issued"
    browser, state = await begun(context())
    assert (await browser.come_back({"state": state, "code": "c", "iss": SSO})).event == "code_issued"
    browser, state = await begun(context())
    answer = await browser.come_back({"state": state, "code": "c", "iss": "https://evil.example"})
    assert_dropped(browser, answer, 400, "wrong_issuer")


async def test_other_name_of_the_same_issuer_is_accepted_where_none_was_promised() -> None:
    browser, state = await begun(make_facade(issuer={"other_issuers": ("https://sso.example.com/login/oauth",)}))
    query = {"state": state, "code": "c", "iss": "https://sso.example.com/login/oauth"}
    assert (await browser.come_back(query)).event == "code_issued"


async def test_while_nobody_knows_whether_an_issuer_is_promised_the_client_is_told_to_come_back() -> None:
    browser, state = await begun()
    outage = make_facade_with_metadata(iss_parameter=True, outage=IdpUnreachable("refused at 10.0.0.1"))
    browser.context = outage
    answer = await browser.come_back({"state": state, "code": "c"})
    query = query_of(answer)
    assert (query["error"], query["state"], query["iss"]) == ("temporarily_unavailable", "client-state", ISSUER)
    assert "10.0.0.1" not in location_of(answer)


# Errors of the identity provider


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("access_denied", "access_denied"),
        ("temporarily_unavailable", "temporarily_unavailable"),
        ("server_error", "server_error"),
        ("invalid_scope", "server_error"),
        ("unauthorized_client", "server_error"),
        ("consent_required", "server_error"),
        ("Access_Denied", "server_error"),
        ("x" * 50_000, "server_error"),
        ("a\r\nSet-Cookie: b=c", "server_error"),
        ("<script>", "server_error"),
    ],
)
async def test_error_is_told_in_our_own_words(error: str, told: str) -> None:
    browser, state = await begun()
    text = "Contact admin at https://evil.example <script>" + "x" * 5000
    with capture_logs() as logs:
        answer = await browser.come_back({"state": state, "error": error, "error_description": text, "error_uri": "u"})
    query = query_of(answer)
    assert query.pop("error_description")
    assert query == {"error": told, "state": "client-state", "iss": ISSUER}
    assert "evil.example" not in location_of(answer)
    (line,) = logs
    assert len(line["error"]) <= 64
    assert len(line["description"]) <= 300
    assert line["error"].isprintable()


async def test_error_beside_a_code_gives_no_code() -> None:
    browser, state = await begun()
    query = query_of(await browser.come_back({"state": state, "error": "access_denied", "code": "c"}))
    assert query["error"] == "access_denied"
    assert "code" not in query


@pytest.mark.parametrize("query", [{}, {"code": ""}, {"code": "x" * 4097}], ids=["none", "empty", "huge"])
async def test_answer_without_a_usable_code_is_an_error(query: dict[str, str]) -> None:
    browser, state = await begun()
    assert query_of(await browser.come_back({"state": state, **query}))["error"] == "server_error"


async def test_longest_code_fits() -> None:
    browser, state = await begun(state="x" * 1024)
    query = query_of(await browser.come_back({"state": state, "code": "x" * 4096}))
    code = open_as(browser.context.seals, Code, query["code"])
    assert code is not None
    assert code.upstream_code == "x" * 4096


async def test_neither_code_nor_state_is_ever_logged() -> None:
    browser, state = await begun()
    with capture_logs() as logs:
        await browser.come_back({"state": state, "code": "the-upstream-code", "error": "server_error"})
        await browser.come_back({"state": state, "code": "the-upstream-code"})
    assert logs
    assert "the-upstream-code" not in str(logs)
    assert state not in str(logs)
