"""Does this request bring a token? This module reads Authorization, the only place for one (RFC 6750 section 2.1)."""

import re

from postern_sidecar.outcome import Reason

__all__ = ["read_token"]

_BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_SCHEME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |$)")


def read_token(values: list[bytes]) -> bytes | Reason:
    """Give the token, or why there is none. values: all Authorization headers of the request.

    Another scheme counts as no credentials: the client tried a method that we do not have, and RFC 6750 section 3.1
    names no error then.
    """
    if not values:
        return Reason.NO_CREDENTIALS
    if len(values) > 1:
        return Reason.MALFORMED_AUTHORIZATION
    bearer = _BEARER.fullmatch(values[0])
    if bearer is not None:
        return bearer.group(1)
    scheme = _SCHEME.match(values[0])
    if scheme is None or scheme.group().strip().lower() == b"bearer":
        return Reason.MALFORMED_AUTHORIZATION
    return Reason.NO_CREDENTIALS
