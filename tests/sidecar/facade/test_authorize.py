import re
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from postern_crds.sidecar_config import ClientConfig
from postern_sidecar.errors import IdpUnreachable
from postern_sidecar.facade.artefacts import ConsentRequest, open_as
from postern_sidecar.facade.authorize import authorize
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.documents import Documents
from postern_sidecar.facade.exchange import REJECTED_S
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer
from tests.sidecar.facade.browsing import (
    ASKED,
    CHALLENGE,
    CLIENT,
    ISSUER,
    REDIRECT,
    Browser,
    Form,
    assert_page,
    location_of,
    make_facade,
    make_facade_with_metadata,
    make_policy,
    query_of,
    registered,
    set_cookies,
)
from tests.sidecar.facade.building import NOW, header_of, make_context, make_idp, make_request, make_ring
from tests.sidecar.facade.conftest import SceneMaker
from tests.support.logs import capture_logs
from tests.support.policies import PROXY, RESOURCE_URL


async def ask(context: Context | None = None, **changes: Any) -> FacadeAnswer:
    return await Browser(context or make_facade()).open(**changes)


def assert_error(answer: FacadeAnswer, error: str, redirect_uri: str = REDIRECT) -> None:
    """It is a redirect to the client that says what is wrong."""
    assert location_of(answer).startswith(redirect_uri + "?")
    query = query_of(answer)
    assert query.pop("error_description")
    assert query == {"error": error, "state": "client-state", "iss": ISSUER}
    assert answer.event == error


# In order


async def test_request_in_order_gets_the_question_and_nothing_is_used_up() -> None:
    answer = await ask()
    assert (answer.status, answer.event, answer.client_id) == (200, "consent_asked", CLIENT.id)
    (cookie,) = set_cookies(answer)
    assert cookie.startswith("__Host-postern-csrf-")


async def test_form_holds_what_was_asked_sealed() -> None:
    context = make_facade()
    form = Form((await ask(context, scope="mcp:read unknown")).body)
    asked = open_as(context.seals, ConsentRequest, form.fields["request"])
    assert asked is not None
    assert (asked.client_id, asked.redirect_uri, asked.challenge) == (CLIENT.id, REDIRECT, CHALLENGE)
    assert (asked.scopes, asked.resource, asked.state) == (("mcp:read",), RESOURCE_URL, "client-state")


async def test_fetching_the_page_ahead_of_the_browser_changes_nothing() -> None:
    context = make_facade()
    ahead, browser = Browser(context), Browser(context)
    await ahead.open()
    await ahead.open()
    assert (await browser.decide(await browser.open())).event == "login_begun"


@pytest.mark.parametrize("headers", [{"sec-purpose": "prefetch"}, {"sec-purpose": "prefetch;prerender"}])
async def test_prefetched_page_can_be_used_later(headers: dict[str, str]) -> None:
    browser = Browser(make_facade())
    page = await browser.open(headers=headers)
    assert (await browser.decide(page)).event == "login_begun"


async def test_browser_keeps_its_secret_over_pages() -> None:
    browser = Browser(make_facade())
    first, second = await browser.open(), await browser.open(state="second")
    assert set_cookies(first) == set_cookies(second)
    for page in (first, second):
        assert (await browser.decide(page)).event == "login_begun"


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    answer = await authorize(make_request("HEAD", query=ASKED), make_facade())
    assert (answer.status, answer.body) == (200, b"")
    assert header_of(answer, "content-type") == "text/html; charset=utf-8"


async def test_post_asks_as_get_does() -> None:
    answer = await authorize(make_request("POST", form=ASKED), make_facade())
    assert answer.event == "consent_asked"


async def test_post_does_not_read_the_query() -> None:
    answer = await authorize(make_request("POST", query=ASKED, form={"client_id": "unknown"}), make_facade())
    assert_page(answer, 400, "invalid_client")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    answer = await authorize(make_request(method, query=ASKED), make_facade())
    assert_page(answer, 405, "method_not_allowed")
    assert header_of(answer, "allow") == "GET, HEAD, POST"


async def test_loopback_client_may_use_any_port() -> None:
    assert (await ask(redirect_uri="http://127.0.0.1:49152/cb")).status == 200


async def test_redirect_uri_may_be_left_out_when_there_is_only_one() -> None:
    context = make_facade()
    form = Form((await ask(context, client_id=registered(context), redirect_uri=None)).body)
    asked = open_as(context.seals, ConsentRequest, form.fields["request"])
    assert asked is not None
    assert asked.redirect_uri == REDIRECT


async def test_client_that_sends_neither_scope_nor_resource_gets_the_advertised_scopes_for_our_resource() -> None:
    body = (await ask()).body.decode()
    assert "mcp:read" in body
    assert "mcp:write" in body


async def test_parameters_that_nobody_knows_are_ignored() -> None:
    assert (await ask(nonce="x", audience="y", login_hint="z")).status == 200


# Before the redirect URI is trusted: pages


@pytest.mark.parametrize("client_id", [None, "", "unknown", "x" * 5000, "e30.a.b.c.d"])
async def test_unknown_client_gets_a_page(client_id: str | None) -> None:
    answer = await ask(client_id=client_id)
    assert_page(answer, 400, "invalid_request" if not client_id or len(client_id) > 4096 else "invalid_client")


async def test_client_of_another_ring_or_issuer_gets_a_page() -> None:
    other_ring = make_context(make_policy(), ring=make_ring("other"))
    other_issuer = make_facade(msgspec.structs.replace(PROXY, issuer="https://mcp.example.com/other"))
    for other in (other_ring, other_issuer):
        assert_page(await ask(client_id=registered(other)), 400, "invalid_client")


@pytest.mark.parametrize(
    "redirect_uri",
    [
        None,
        "",
        "https://evil.example/callback",
        REDIRECT + "/",
        REDIRECT + "?x=1",
        REDIRECT + "#x",
        REDIRECT + "/../x",
        REDIRECT.upper(),
        "https://client.example.org:443/callback",
        "https://client.example.org.evil.example/callback",
        "https://client.example.org@evil.example/callback",
        "http://client.example.org/callback",
        "http://127.0.0.1/other",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost/cb",
        "http://127.0.0.1:80:90/cb",
        "http://127.0.0.1:1@evil.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "cursor://anysphere.cursor-mcp/oauth/other",
        REDIRECT + "\r\nSet-Cookie: a=b",
        REDIRECT + "x" * 2000,
        "//evil.example",
        "/callback",
    ],
)
@pytest.mark.parametrize("further", [{}, {"response_type": "token"}, {"request": "x"}], ids=["alone", "type", "object"])
async def test_redirect_uri_that_is_not_registered_is_never_followed(
    redirect_uri: str | None, further: dict[str, Any]
) -> None:
    assert_page(await ask(redirect_uri=redirect_uri, **further), 400, "invalid_redirect_uri")


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds(REDIRECT.__add__, st.text(min_size=1, max_size=10)),
        st.builds("https://{}client.example.org/callback".format, st.text(min_size=1, max_size=10)),
        st.builds("http://127.0.0.1{}/cb".format, st.text("0123456789:@./\\#?", min_size=1, max_size=10)),
    )
)
async def test_no_other_redirect_uri_is_ever_followed(redirect_uri: str) -> None:
    assume(not re.fullmatch(r"http://127\.0\.0\.1:[0-9]{1,5}/cb", redirect_uri))
    answer = await ask(redirect_uri=redirect_uri, response_type="token")
    assert_page(answer, 400, "invalid_redirect_uri")


async def test_redirect_uri_that_fits_into_no_cookie_is_not_followed() -> None:
    uri = REDIRECT + "?" + "x" * 1024
    clients = (ClientConfig(id=CLIENT.id, name="", redirect_uris=(uri,)),)
    answer = await ask(make_facade(msgspec.structs.replace(PROXY, clients=clients)), redirect_uri=uri)
    assert_page(answer, 400, "invalid_redirect_uri")


async def test_redirect_uri_of_another_client_is_not_followed() -> None:
    assert_page(await ask(redirect_uri="https://other.example.org/callback"), 400, "invalid_redirect_uri")


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "state", "scope", "response_type", "code_challenge"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_parameter_that_is_given_twice_is_refused_with_a_page(name: str, method: str) -> None:
    pairs = [*ASKED.items(), ("scope", "a"), (name, "https://evil.example/callback")]
    request = make_request(method, query=pairs) if method == "GET" else make_request(method, form=pairs)
    assert_page(await authorize(request, make_facade()), 400, "invalid_request")


@pytest.mark.parametrize("query", [b"client_id=%ff", b"client_id=\xff", b"&".join(b"a%d=1" % i for i in range(65))])
async def test_parameters_that_cannot_be_read_get_a_page(query: bytes) -> None:
    assert_page(await authorize(make_request(query=query), make_facade()), 400, "invalid_request")


async def test_body_that_is_no_form_gets_a_page() -> None:
    assert_page(await authorize(make_request("POST", json=ASKED), make_facade()), 400, "invalid_request")


async def test_state_too_long_for_the_way_gets_a_page() -> None:
    assert (await ask(state="x" * 1024)).status == 200
    assert_page(await ask(state="x" * 1025), 400, "invalid_request")


async def test_client_document_that_cannot_be_fetched_gets_a_page_that_says_try_again() -> None:
    async def fetch(url: str) -> object:
        raise OAuthFault("temporarily_unavailable", "The document cannot be fetched.", detail="connection refused")

    context = make_context(make_policy(), documents=Documents(fetch))  # type: ignore[arg-type]
    answer = await ask(context, client_id="https://client.example.org/metadata.json")
    assert_page(answer, 503, "temporarily_unavailable")
    assert header_of(answer, "retry-after") is not None


# From here on the client is told


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"response_type": None}, "invalid_request", id="no response_type"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="token"),
        pytest.param({"response_type": "code token"}, "unsupported_response_type", id="code token"),
        pytest.param({"response_type": "id_token"}, "unsupported_response_type", id="id_token"),
        pytest.param({"response_type": "CODE"}, "unsupported_response_type", id="other case"),
        pytest.param({"response_mode": "fragment"}, "invalid_request", id="fragment"),
        pytest.param({"response_mode": "form_post"}, "invalid_request", id="form_post"),
        pytest.param({"response_mode": "web_message"}, "invalid_request", id="web_message"),
        pytest.param({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported", id="request"),
        pytest.param({"request_uri": "https://evil.example/r"}, "request_uri_not_supported", id="request_uri"),
        pytest.param({"code_challenge": None}, "invalid_request", id="no PKCE"),
        pytest.param({"code_challenge_method": None}, "invalid_request", id="method left out means plain"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
        pytest.param({"code_challenge_method": "s256"}, "invalid_request", id="other method"),
        pytest.param({"code_challenge": CHALLENGE[:-1]}, "invalid_request", id="short challenge"),
        pytest.param({"code_challenge": CHALLENGE + "A"}, "invalid_request", id="long challenge"),
        pytest.param({"code_challenge": CHALLENGE[:-1] + "="}, "invalid_request", id="padded challenge"),
        pytest.param({"code_challenge": CHALLENGE[:-1] + "\n"}, "invalid_request", id="challenge with newline"),
        pytest.param({"resource": "https://other.example.com/mcp"}, "invalid_target", id="other resource"),
        pytest.param({"resource": RESOURCE_URL + "/x"}, "invalid_target", id="below the resource"),
        pytest.param({"scope": 'mcp:read "x"'}, "invalid_scope", id="malformed scope"),
        pytest.param({"scope": "a\r\nLocation: https://evil.example"}, "invalid_scope", id="scope with newline"),
        pytest.param({"prompt": "none"}, "consent_required", id="no question allowed"),
        pytest.param({"prompt": "none login"}, "invalid_request", id="none and another"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_wrong_is_told_to_the_client(changes: dict[str, str | None], error: str, method: str) -> None:
    asked = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    request = make_request(query=asked) if method == "GET" else make_request("POST", form=asked)
    answer = await authorize(request, make_facade())
    assert_error(answer, error)
    assert answer.status == (302 if method == "GET" else 303)
    assert not set_cookies(answer)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5/cb", "cursor://anysphere.cursor-mcp/oauth/callback"])
async def test_error_reaches_native_clients(uri: str) -> None:
    assert_error(await ask(redirect_uri=uri, response_type="token"), "unsupported_response_type", uri)


async def test_client_without_the_grant_is_unauthorized() -> None:
    context = make_facade()
    uri = "http://127.0.0.1:5/cb"
    client_id = registered(context, redirect_uris=(uri,), grant_types=("refresh_token",))
    assert_error(await ask(context, client_id=client_id, redirect_uri=uri), "unauthorized_client", uri)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("changes", "status", "event"),
    [
        pytest.param({"response_type": "token"}, 400, "unsupported_response_type", id="wrong request"),
        pytest.param({"prompt": "none"}, 400, "consent_required", id="no question allowed"),
        pytest.param({"scope": "\x00"}, 400, "invalid_scope", id="malformed scope"),
    ],
)
async def test_link_to_us_leads_to_no_site_that_registered_itself(
    changes: dict[str, str], status: int, event: str, method: str
) -> None:
    # RFC 9700 section 4.11.2: anybody can register, so that each error would be an open redirect.
    context = make_facade()
    uri = "https://phish.example/a?b='&c"
    asked = {**ASKED, "client_id": registered(context, redirect_uris=(uri,)), "redirect_uri": uri, **changes}
    request = make_request(query=asked) if method == "GET" else make_request("POST", form=asked)
    page = await authorize(request, context)
    assert_page(page, status, event)
    body = page.body.decode()
    assert f'<a href="https://phish.example/a?b=&#39;&amp;c&amp;error={event}&amp;' in body
    assert "state=client-state&amp;iss=https%3A%2F%2Fmcp.example.com" in body
    assert "phish.example</span>" in body


async def test_outage_leads_to_no_site_that_registered_itself() -> None:
    context = make_facade_with_metadata(iss_parameter=True, outage=IdpUnreachable("refused"))
    page = await ask(context, client_id=registered(context))
    assert_page(page, 503, "temporarily_unavailable")
    assert header_of(page, "retry-after") == "5"


@pytest.mark.parametrize(
    "registration",
    [{"allowed_hosts": ("*.example.org",)}, {"redirect_uris": (REDIRECT,)}],
)
async def test_site_that_the_policy_names_is_told_what_is_wrong(registration: dict[str, tuple[str, ...]]) -> None:
    rules = msgspec.structs.replace(PROXY.registration, **registration)
    context = make_facade(msgspec.structs.replace(PROXY, registration=rules))
    answer = await ask(context, client_id=registered(context), response_type="token")
    assert_error(answer, "unsupported_response_type")


async def test_error_for_a_client_without_state_has_none() -> None:
    assert "state" not in query_of(await ask(state=None, response_type="token"))


@pytest.mark.parametrize("state", ["a b+c%20&d=e#f", "x\r\nSet-Cookie: a=b", "\x00", "ü€😀", '"><script>'])
async def test_state_comes_back_as_it_was_and_splits_no_header(state: str) -> None:
    answer = await ask(state=state, response_type="token")
    assert query_of(answer)["state"] == state
    assert location_of(answer).isprintable()
    assert location_of(answer).isascii()


async def test_redirect_uri_with_a_query_keeps_it_byte_for_byte() -> None:
    uri = "https://client.example.org/cb?a=%7e&b=1+2&a="
    clients = (ClientConfig(id=CLIENT.id, name="", redirect_uris=(uri,)),)
    answer = await ask(
        make_facade(msgspec.structs.replace(PROXY, clients=clients)), redirect_uri=uri, response_type="token"
    )
    assert location_of(answer).startswith(uri + "&error=unsupported_response_type&")


async def test_request_that_fits_into_no_cookie_is_refused_before_anybody_is_asked() -> None:
    scopes = tuple(f"mcp:{'x' * 90}{i}" for i in range(30))
    context = make_facade(verification={"supported_scopes": scopes})
    assert (await ask(context, scope=scopes[0])).status == 200
    assert_error(await ask(context), "invalid_request")


async def test_state_that_grows_when_it_is_written_down_is_measured_as_written() -> None:
    state = "\x01" * 1000
    answer = await ask(state=state)
    assert query_of(answer)["error"] == "invalid_request"
    assert query_of(answer)["state"] == state


async def test_outage_of_the_identity_provider_is_told_to_the_client() -> None:
    context = make_facade_with_metadata(iss_parameter=True, outage=IdpUnreachable("refused at 10.0.0.1"))
    with capture_logs() as logs:
        answer = await ask(context)
    assert_error(answer, "temporarily_unavailable")
    assert "10.0.0.1" not in location_of(answer)
    causes = [line["cause"] for line in logs if line["event"] == "request refused"]
    assert causes == ["refused at 10.0.0.1"]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "http://sso.example.com/login",
        "http://localhost.evil.example/login",
        "https://sso.example.com/login#x",
        "https://sso.example.com/\r\nSet-Cookie: a=b",
        "https://sso.exämple.com/login",
        "https:///login",
        "//sso.example.com/login",
    ],
)
async def test_identity_provider_with_an_unusable_endpoint_gets_no_visitors(url: str) -> None:
    config = make_policy()
    endpoints = msgspec.structs.replace(config.issuer.endpoints, authorization=url)
    assert_error(await ask(make_facade(issuer={"metadata_urls": (), "endpoints": endpoints})), "server_error")


# What only the administrator can cure


async def test_missing_secret_gets_a_page_that_sends_the_user_to_the_administrator() -> None:
    config = make_policy()
    context = make_context(config, idp=make_idp(config, client_secret=None))
    with capture_logs() as logs:
        answer = await ask(context)
    assert_page(answer, 503, "temporarily_unavailable")
    assert b"administrator" in answer.body
    assert header_of(answer, "retry-after") == "60"
    assert [(line["file"], line["field"]) for line in logs] == [("client-secret", "spec.proxy.client.secretRef")]


async def test_public_client_at_the_identity_provider_needs_no_secret() -> None:
    upstream = msgspec.structs.replace(PROXY.upstream, auth_method="none")
    config = make_policy(msgspec.structs.replace(PROXY, upstream=upstream))
    context = make_context(config, idp=make_idp(config, client_secret=None))
    assert (await ask(context)).status == 200


async def test_rejected_secret_closes_the_door_for_a_minute(make_scene: SceneMaker) -> None:
    scene = make_scene(secret="wrong-secret")
    client_id = registered(scene.context)
    assert (await ask(scene.context, client_id=client_id)).status == 200
    assert (await scene.ask(scene.code_form())).event == "server_error"
    answer = await ask(scene.context, client_id=client_id)
    assert_page(answer, 503, "temporarily_unavailable")
    assert b"credentials that are refused" in answer.body
    assert (await ask(scene.context, client_id=client_id, now=NOW + REJECTED_S)).status == 200


async def test_request_with_a_fault_is_told_of_the_fault_and_not_of_the_missing_secret() -> None:
    config = make_policy()
    context = make_context(config, idp=make_idp(config, client_secret=None))
    assert_error(await ask(context, response_type="token"), "unsupported_response_type")
