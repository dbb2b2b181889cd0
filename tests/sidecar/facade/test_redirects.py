from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.facade.redirects import ReturnAddress, to_client, with_parameters
from tests.sidecar.facade.browsing import location_of, query_of
from tests.sidecar.facade.building import header_of, make_request

ISSUER = "https://mcp.example.com/a b"


def answer(redirect_uri: str, state: str | None = None, method: str = "GET") -> FacadeAnswer:
    request = make_request(method)
    return to_client(request, ReturnAddress(redirect_uri, state, ISSUER), {"code": "c/o+d=e"}, event="code_issued")


@pytest.mark.parametrize(
    ("uri", "begin"),
    [
        pytest.param("https://a.example/cb", "https://a.example/cb?code=", id="no query"),
        pytest.param("https://a.example/cb?x=%7e&y=+", "https://a.example/cb?x=%7e&y=+&code=", id="query kept"),
        pytest.param("https://a.example/cb?", "https://a.example/cb?code=", id="empty query"),
        pytest.param("https://a.example/cb?x=1&", "https://a.example/cb?x=1&code=", id="open query"),
        pytest.param("https://a.example", "https://a.example?code=", id="no path"),
        pytest.param("http://[::1]:8080/cb", "http://[::1]:8080/cb?code=", id="loopback"),
        pytest.param("com.example.app:/cb", "com.example.app:/cb?code=", id="private-use scheme"),
        pytest.param("cursor://anysphere.cursor-mcp/cb", "cursor://anysphere.cursor-mcp/cb?code=", id="with authority"),
    ],
)
def test_redirect_uri_stays_byte_for_byte_before_the_parameters(uri: str, begin: str) -> None:
    assert location_of(answer(uri)).startswith(begin)


def test_response_carries_code_state_and_issuer_once() -> None:
    assert query_of(answer("https://a.example/cb", "s&t=u#v%20+ü")) == {
        "code": "c/o+d=e",
        "state": "s&t=u#v%20+ü",
        "iss": ISSUER,
    }


def test_client_that_sent_no_state_gets_none() -> None:
    assert query_of(answer("https://a.example/cb")).keys() == {"code", "iss"}


def test_fault_becomes_an_error_with_state_and_issuer() -> None:
    address = ReturnAddress("https://a.example/cb", "s", ISSUER)
    refused = to_client(make_request(), address, OAuthFault("invalid_scope", "No such scope.", detail="secret detail"))
    assert query_of(refused) == {
        "error": "invalid_scope",
        "error_description": "No such scope.",
        "state": "s",
        "iss": ISSUER,
    }
    assert refused.event == "invalid_scope"


def test_redirect_is_never_stored_and_tells_nothing_of_where_it_came_from() -> None:
    sent = answer("https://a.example/cb")
    assert header_of(sent, "cache-control") == "no-store"
    assert header_of(sent, "referrer-policy") == "no-referrer"


def test_redirect_after_a_post_is_a_get() -> None:
    assert answer("https://a.example/cb", method="POST").status == 303


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["https://a.example/cb", "https://a.example/cb?q=%41", "cursor://x/cb"]),
)
def test_state_of_any_characters_comes_back_as_it_was_and_splits_no_header(state: str, uri: str) -> None:
    location = location_of(answer(uri, state))
    assert location.isascii()
    assert location.isprintable()
    assert location.startswith(uri)
    assert parse_qs(urlsplit(location).query, keep_blank_values=True)["state"] == [state]


def test_parameters_are_encoded_in_full() -> None:
    assert with_parameters("https://a.example/", {"a b": "c&d=/?#+\r\n"}) == (
        "https://a.example/?a%20b=c%26d%3D%2F%3F%23%2B%0D%0A"
    )
