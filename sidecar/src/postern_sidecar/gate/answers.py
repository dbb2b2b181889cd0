"""How the sidecar answers itself: this module turns reasons and documents into responses."""

import json
from collections.abc import Sequence

from postern_sidecar.gate.challenge import challenge
from postern_sidecar.gate.cors import preflight_headers
from postern_sidecar.gate.decision import Answer, Headers
from postern_sidecar.outcome import Principal, Reason, Unavailable, verdict

__all__ = [
    "challenged",
    "document",
    "document_preflight",
    "document_refusal",
    "document_unavailable",
    "method_refusal",
    "preflight",
    "refusal",
    "unavailable",
]

_DOCUMENT_METHODS = b"GET, HEAD, OPTIONS"
_ENDPOINT_METHODS = b"GET, POST, DELETE, OPTIONS"
_DOCUMENT_MAX_AGE_S = 60
"""Short, because clients that read an old document log in at the wrong place."""
_ANYONE: Headers = ((b"access-control-allow-origin", b"*"),)


def refusal(reason: Reason, extra: Headers = ()) -> Answer:
    """Give the answer for a reason that needs no challenge."""
    return _answer(reason, extra, None)


def challenged(
    reason: Reason, metadata_url: str, scopes: Sequence[str], cors: Headers, principal: Principal | None = None
) -> Answer:
    """Give the answer that says how to ask properly; scopes: what the next token should have."""
    header = (b"www-authenticate", challenge(reason, metadata_url, scopes))
    return _answer(reason, (header, *cors), principal)


def unavailable(outage: Unavailable, cors: Headers) -> Answer:
    """Give the answer for an outage: no challenge, since clients throw their tokens away on one."""
    retry = (b"retry-after", str(outage.retry_after_s).encode())
    return _answer(outage.reason, (retry, *cors), None)


def document(body: bytes) -> Answer:
    """Give a discovery document; anyone may read it from anywhere."""
    headers = (
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", f"public, max-age={_DOCUMENT_MAX_AGE_S}".encode()),
        *_ANYONE,
    )
    return Answer(200, headers, body, Reason.SERVED)


def document_preflight(requested: list[bytes]) -> Answer:
    """Give the answer to OPTIONS for a discovery document. requested: values of Access-Control-Request-Headers."""
    allow = (b"allow", _DOCUMENT_METHODS)
    return Answer(204, (allow, *_ANYONE, *preflight_headers(_DOCUMENT_METHODS, requested)), b"", Reason.PREFLIGHT)


def preflight(requested: list[bytes], cors: Headers) -> Answer:
    """Give the answer to a preflight for anything else; no token is needed for it (SPEC 84)."""
    return Answer(204, (*preflight_headers(_ENDPOINT_METHODS, requested), *cors), b"", Reason.PREFLIGHT)


def document_unavailable(outage: Unavailable) -> Answer:
    """Give the answer when a document cannot be had at present."""
    return unavailable(outage, _ANYONE)


def method_refusal(cors: Headers) -> Answer:
    """Give the answer to methods that are never forwarded (RFC 9110 section 15.5.6 wants Allow)."""
    return refusal(Reason.METHOD_NOT_ALLOWED, ((b"allow", _ENDPOINT_METHODS), *cors))


def document_refusal(reason: Reason) -> Answer:
    """Give the answer where discovery has nothing to say."""
    extra: Headers = ((b"allow", _DOCUMENT_METHODS),) if reason is Reason.METHOD_NOT_ALLOWED else ()
    return refusal(reason, (*extra, *_ANYONE))


def _answer(reason: Reason, extra: Headers, principal: Principal | None) -> Answer:
    _, status, error, text = verdict(reason)
    # A challenge without credentials names no error (RFC 6750 section 3.1); the body has the same members always.
    body = json.dumps({"error": error or "unauthorized", "error_description": text}).encode()
    headers = (
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *extra,
    )
    return Answer(status, headers, body, reason, principal)
