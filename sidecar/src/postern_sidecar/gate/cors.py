"""What a browser needs to hear: this module is the CORS headers (SPEC 84).

Tokens travel in a header that scripts set themselves, so credentials (cookies) are never allowed along.
"""

import re

from postern_sidecar.gate.decision import Headers

__all__ = ["endpoint_headers", "preflight_headers"]

_EXPOSED = b"WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version"
_ALLOWED = (
    b"authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id"
)
_NAMES = re.compile(rb"[A-Za-z0-9-]{1,64}(?:[ \t]*,[ \t]*[A-Za-z0-9-]{1,64}){0,63}")
_MAX_AGE_S = b"600"


def endpoint_headers(origin: bytes | None) -> Headers:
    """Give the headers for a response to an allowed origin; none when no browser asks."""
    if origin is None:
        return ()
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
        (b"vary", b"Origin"),
    )


def preflight_headers(methods: bytes, requested: list[bytes]) -> Headers:
    """Give what a preflight asks for. requested: values of Access-Control-Request-Headers.

    An origin that may call at all may send any header; what is not for the server is removed later. Mcp-Param-* cannot
    be listed beforehand, and '*' would not cover Authorization, so the wish is repeated.
    """
    names = b", ".join(requested)
    granted = _ALLOWED if _NAMES.fullmatch(names) is None else _ALLOWED + b", " + names.lower()
    return (
        (b"access-control-allow-methods", methods),
        (b"access-control-allow-headers", granted),
        (b"access-control-max-age", _MAX_AGE_S),
    )
