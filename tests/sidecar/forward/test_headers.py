"""The pure rules of headers and framing."""

import pytest

from postern_sidecar.errors import SidecarError
from postern_sidecar.forward.faults import UnsupportedRequest
from postern_sidecar.forward.headers import (
    Fixed,
    Headers,
    fixed_headers,
    framing_headers,
    request_headers,
    request_length,
    response_headers,
    sane_request_id,
    slash_redirect,
    strip_whitespace,
)

FIXED = Fixed(b"localhost:8000", b"mcp.example.com", b"https")
SET_BY_US = {b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for"}


def passed(*received: tuple[bytes, bytes]) -> Headers:
    headers = request_headers(
        list(received), FIXED, peer="192.0.2.1", is_identity=lambda name: name.startswith(b"x-mcp-user"), added=[]
    )
    return [header for header in headers if header[0] not in SET_BY_US]


@pytest.mark.parametrize(
    "name",
    [
        b"authorization", b"connection", b"content-length", b"expect", b"forwarded", b"host", b"http2-settings",
        b"keep-alive", b"origin", b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
        b"upgrade", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-user", b"x-forwarded-anything",
        b"x-mcp-user-id", b"x-real-ip", b"x-request-id", b"x_forwarded_for", b"x_mcp_user_id", b"mcp_session_id",
        b"a_b", b"x.mcp.user.id", b"x~mcp~user~id", b"x-original-url", b"x-original-uri", b"x-rewrite-url",
    ],
)  # fmt: skip
def test_header_of_the_client_is_dropped(name: bytes) -> None:
    assert passed((name, b"v")) == []


@pytest.mark.parametrize(
    "name",
    [
        b"accept", b"content-type", b"cookie", b"last-event-id", b"mcp-method", b"mcp-param-x", b"mcp-param-a_b.c",
        b"mcp-protocol-version", b"mcp-session-id", b"traceparent", b"tracestate", b"user-agent", b"x-custom",
    ],
)  # fmt: skip
def test_header_of_the_client_passes(name: bytes) -> None:
    assert passed((name, b"v")) == [(name, b"v")]


def test_headers_that_connection_nominates_are_dropped_but_never_ours() -> None:
    headers = request_headers(
        [(b"connection", b"X-Hop , x-forwarded-host, host"), (b"x-hop", b"1"), (b"x-stay", b"2")],
        FIXED,
        peer="::1",
        is_identity=lambda _: False,
        added=[(b"x-request-id", b"r")],
    )
    assert headers == [
        (b"host", b"localhost:8000"),
        (b"x-stay", b"2"),
        (b"x-forwarded-host", b"mcp.example.com"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-for", b"::1"),
        (b"x-request-id", b"r"),
    ]


def test_repeated_headers_keep_their_order_and_number() -> None:
    twice = [(b"accept", b"a"), (b"x-a", b"1"), (b"accept", b"b")]
    assert passed(*twice) == twice


def test_forwarded_host_keeps_the_port_of_the_public_url() -> None:
    fixed = fixed_headers("http://localhost:9000/mcp", host=None, port=8000)
    assert fixed == Fixed(b"localhost:8000", b"localhost:9000", b"http")
    assert fixed_headers("https://a.example/mcp", host="b.internal", port=1).host == b"b.internal"


def test_whitespace_around_values_is_removed_and_inside_is_kept() -> None:
    assert strip_whitespace([(b"mcp-name", b" \ta b\t ")]) == [(b"mcp-name", b"a b")]


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([(b"content-length", b"0")], 0, id="zero"),
        pytest.param([(b"content-length", b"42")], 42, id="length"),
        pytest.param([(b"transfer-encoding", b"Chunked")], None, id="chunked"),
    ],
)
def test_length_of_a_body_is_known(headers: Headers, length: int | None) -> None:
    assert request_length(headers) == length


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"+1")],
        [(b"content-length", b"")],
        [(b"content-length", b"1, 1")],
        [(b"content-length", b"9" * 30)],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"identity")],
    ],
)
def test_framing_that_parsers_could_read_differently_is_refused(headers: Headers) -> None:
    with pytest.raises(UnsupportedRequest) as refusal:
        request_length(headers)
    assert refusal.value.status in (400, 501)
    assert isinstance(refusal.value, SidecarError)


def test_framing_is_written_anew() -> None:
    assert framing_headers(b"POST", None, sent_length=False) == [(b"transfer-encoding", b"chunked")]
    assert framing_headers(b"POST", 0, sent_length=False) == [(b"content-length", b"0")]
    assert framing_headers(b"GET", 0, sent_length=False) == []
    assert framing_headers(b"GET", 0, sent_length=True) == [(b"content-length", b"0")]
    assert framing_headers(b"GET", 7, sent_length=True) == [(b"content-length", b"7")]


@pytest.mark.parametrize("value", [b"abc-123", b"a" * 128, b"Root=1-67891233-abcdef012345678912345678"])
def test_sane_request_id_is_kept(value: bytes) -> None:
    assert sane_request_id([(b"x-request-id", value)]) == value


@pytest.mark.parametrize("values", [[], [b""], [b"a b"], [b"a" * 129], [b"a\xff"], [b'"'], [b"a", b"b"]])
def test_other_request_ids_are_replaced(values: list[bytes]) -> None:
    assert sane_request_id([(b"x-request-id", value) for value in values]) is None


def test_response_loses_hop_by_hop_headers_and_foreign_challenges_only() -> None:
    received = [
        (b"connection", b"x-hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"),
        (b"www-authenticate", b"Bearer"),
        (b"mcp-session-id", b"s"),
        (b"content-length", b"3"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]
    assert response_headers(received, status=200, replacing=[]) == received[5:]
    assert (b"content-length", b"3") not in response_headers(received, status=304, replacing=[])


@pytest.mark.parametrize(
    ("target", "location", "other"),
    [
        pytest.param(b"/mcp", b"/mcp/", b"/mcp/", id="slash added"),
        pytest.param(b"/mcp/", b"/mcp", b"/mcp", id="slash removed"),
        pytest.param(b"/mcp?a=1", b"/mcp/?a=1", b"/mcp/?a=1", id="query kept"),
        pytest.param(b"/mcp", b"http://LOCALHOST:8000/mcp/", b"/mcp/", id="absolute on the host that was sent"),
        pytest.param(b"/mcp?a=1", b"/mcp/", None, id="query lost"),
        pytest.param(b"/mcp", b"http://localhost:8001/mcp/", None, id="other port"),
        pytest.param(b"/mcp", b"//localhost:8000/mcp/", None, id="without scheme"),
        pytest.param(b"/mcp", b"/mcp//", None, id="two slashes"),
        pytest.param(b"/mcp", b"/MCP/", None, id="other case"),
        pytest.param(b"/", b"", None, id="nowhere"),
        pytest.param(b"/", b"http://localhost:8000", None, id="host only"),
    ],
)
def test_redirect_counts_as_slash_form_only_when_nothing_else_differs(
    target: bytes, location: bytes, other: bytes | None
) -> None:
    assert slash_redirect(target, location, host=b"localhost:8000") == other
