"""Which headers pass between client and server, and how a body is framed: this module is those rules, without I/O.

Names are lower-case throughout. Framing is never copied: it is computed from what one strict parser accepted, and
written anew (RFC 9112 section 6), so that sidecar and server cannot disagree on where a body ends.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from postern_sidecar.forward.faults import UnsupportedRequest

__all__ = [
    "Fixed",
    "Headers",
    "fixed_headers",
    "framing_headers",
    "request_headers",
    "request_length",
    "response_headers",
    "sane_request_id",
    "slash_redirect",
    "strip_whitespace",
]

Header = tuple[bytes, bytes]
Headers = list[Header]

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""RFC 9110 section 7.6.1, with what RFC 7540 section 3.2 and old clients add."""
_OURS = frozenset(
    (b"host", b"content-length", b"expect", b"authorization", b"origin", b"forwarded", b"x-real-ip", b"x-request-id")
)
"""Of a request: written anew, or ended at the sidecar (Expect is answered by the listener)."""
_OTHER_TARGET = frozenset((b"x-original-url", b"x-original-uri", b"x-rewrite-url"))
"""Some frameworks route by these instead of the request line; the gate decided on the request line."""
_PLAIN_NAME = re.compile(rb"[a-z0-9-]+|mcp-param-.+")
"""Mcp-Param-* may be any token and must pass (SPEC 71); however it is read, it cannot pass for a header of ours."""
_BODY_EXPECTED = frozenset((b"POST", b"PUT", b"PATCH"))
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_DIGITS = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Fixed:
    """What is the same in each forwarded request of one policy."""

    host: bytes
    """Host for the server; many servers refuse any but localhost (SPEC 67)."""
    forwarded_host: bytes
    forwarded_proto: bytes


def fixed_headers(resource_url: str, *, host: str | None, port: int) -> Fixed:
    """Compute them from the policy, never from the request. host None: ``localhost:<port>``."""
    public = urlsplit(resource_url)
    return Fixed((host or f"localhost:{port}").encode(), public.netloc.encode(), public.scheme.encode())


def strip_whitespace(headers: Iterable[Header]) -> Headers:
    """Give the headers with optional whitespace around values removed (RFC 9110 section 5.5, SPEC 72)."""
    return [(name, value.strip(b" \t")) for name, value in headers]


def sane_request_id(headers: Iterable[Header]) -> bytes | None:
    """Give the caller's X-Request-Id; None when there is not exactly one that is short and printable."""
    values = [value for name, value in headers if name == b"x-request-id"]
    return values[0] if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]) else None


def request_length(headers: Iterable[Header]) -> int | None:
    """Give the length of the body in bytes; 0: no body; None: sent in chunks (RFC 9112 section 6.3).

    Raises UnsupportedRequest for what two parsers may read differently: several lengths, a length beside chunks (400),
    or a transfer coding other than chunked (501).
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if lengths:
            raise UnsupportedRequest(400, "A request with Transfer-Encoding must not have a Content-Length.")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise UnsupportedRequest(501, "The only supported transfer coding is chunked.")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0]):
        raise UnsupportedRequest(400, "Content-Length must be one decimal number.")
    return int(lengths[0])


def framing_headers(method: bytes, length: int | None, *, sent_length: bool) -> Headers:
    """Give the framing for the server. sent_length: whether the client stated a length, be it 0."""
    if length is None:
        return [(b"transfer-encoding", b"chunked")]
    if length or sent_length or method in _BODY_EXPECTED:
        return [(b"content-length", str(length).encode())]
    return []


def _nominated(headers: Iterable[Header]) -> frozenset[bytes]:
    """Names that Connection nominates as hop-by-hop (RFC 9110 section 7.6.1)."""
    return frozenset(
        token.strip(b" \t").lower() for name, value in headers if name == b"connection" for token in value.split(b",")
    )


def request_headers(
    received: Headers, fixed: Fixed, *, peer: str, is_identity: Callable[[bytes], bool], added: Iterable[Header]
) -> Headers:
    """Give the headers for the server, without framing.

    received: as the client sent them. peer: address of the TCP peer. is_identity: names that only the sidecar may set.
    added: request id and identity of the principal. Only names of letters, digits and dashes pass, besides
    Mcp-Param-*: many servers read an underscore as a dash, and gateways to CGI every other character too.
    """
    dropped = _HOP_BY_HOP | _OURS | _OTHER_TARGET | _nominated(received)
    kept = [
        (name, value)
        for name, value in received
        if name not in dropped
        and _PLAIN_NAME.fullmatch(name)
        and not name.startswith(b"x-forwarded-")
        and not is_identity(name)
    ]
    return [
        (b"host", fixed.host),
        *kept,
        (b"x-forwarded-host", fixed.forwarded_host),
        (b"x-forwarded-proto", fixed.forwarded_proto),
        *([(b"x-forwarded-for", peer.encode("ascii", "replace"))] if peer else []),
        *added,
    ]


def response_headers(received: Headers, *, status: int, replacing: Iterable[Header]) -> Headers:
    """Give the headers for the client; Content-Length stays, for a cut body must be noticed.

    WWW-Authenticate of the server does not pass: clients follow ``resource_metadata`` to log in, and only the policy
    may say where (RFC 9728 section 5.1). replacing: take the place of same-named ones (CORS).
    """
    added = list(replacing)
    dropped = _HOP_BY_HOP | _nominated(received) | {name for name, _ in added} | {b"www-authenticate"}
    if status in (204, 304):
        dropped |= {b"content-length"}
    return [(name, value) for name, value in received if name not in dropped] + added


def slash_redirect(target: bytes, location: bytes, *, host: bytes) -> bytes | None:
    """Give the target of a redirect to the same path with or without its last slash; None: any other redirect.

    target: path and query as sent. location: value of Location, absolute on the Host that was sent, or a path. The
    query must be the same.
    """
    for scheme in (b"http://", b"https://"):
        if location[: len(scheme)].lower() == scheme:
            authority, slash, rest = location[len(scheme) :].partition(b"/")
            if authority.lower() != host.lower() or not slash:
                return None
            location = b"/" + rest
            break
    path, mark, query = target.partition(b"?")
    other = path[:-1] if path.endswith(b"/") else path + b"/"
    return location if other and location == other + mark + query else None
