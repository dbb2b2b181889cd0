"""Is this a good token? This module verifies a JWT access token (RFC 7519, RFC 9068, RFC 8725).

The only caller of joserfc for tokens: it alone is lax about missing claims, types and duplicate members.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from postern_sidecar.outcome import Reason
from postern_sidecar.strict_json import read_object
from postern_sidecar.tokens.keys import KeyRing
from postern_sidecar.tokens.registered import Expected, check_claims

__all__ = ["MAX_TOKEN_BYTES", "Header", "read_header", "verify", "verify_signature"]

MAX_TOKEN_BYTES = 16384
"""Servers refuse headers of about this size anyway; parsing stays cheap."""
ASYMMETRIC = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
)
"""Whatever a policy says, nothing else is ever accepted: no 'none', no shared secrets (RFC 8725 section 3.2)."""
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES = frozenset(("at+jwt", "application/at+jwt", "jwt"))


@dataclass(frozen=True, slots=True)
class Header:
    """What matters of a token's header; keys and URLs in it are never looked at (RFC 8725 section 3.10)."""

    algorithm: str
    kid: str | None


class _Registry(jws.JWSRegistry):
    """joserfc's limits, fitted to ours."""

    max_header_length = MAX_TOKEN_BYTES
    max_payload_length = MAX_TOKEN_BYTES
    max_signature_length = 4096

    def get_alg(self, name: str) -> Any:
        # joserfc warns of the name EdDSA at each use, since RFC 9864 replaced it by the curve's; ours is Ed25519.
        return super().get_alg(_jose_name(name))


def read_header(token: bytes, algorithms: frozenset[str]) -> Header | Reason:
    """Read the header, or say why the token is refused without looking at its signature."""
    if len(token) > MAX_TOKEN_BYTES or _COMPACT.fullmatch(token) is None:
        return Reason.MALFORMED_TOKEN
    try:
        header = read_object(urlsafe_b64decode(token.partition(b".")[0]))
    except (ValueError, binascii.Error):
        return Reason.MALFORMED_TOKEN
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms & ASYMMETRIC:
        return Reason.REFUSED_ALGORITHM
    if not _is_accepted_type(header):
        return Reason.REFUSED_TYPE
    if "crit" in header or "b64" in header:
        # We know no extension, so each critical one is unknown (RFC 7515 section 4.1.11).
        return Reason.REFUSED_EXTENSION
    if kid is not None and not isinstance(kid, str):
        return Reason.MALFORMED_TOKEN
    return Header(algorithm, kid)


def verify(token: bytes, header: Header, ring: KeyRing, expected: Expected, now: float) -> Mapping[str, Any] | Reason:
    """Check signature, then claims. Gives the claims, or why not; a refetch of the keys may cure UNKNOWN_KEY."""
    payload = verify_signature(token, header, ring)
    return payload if isinstance(payload, Reason) else _read_claims(payload, expected, now)


def verify_signature(token: bytes, header: Header, ring: KeyRing) -> bytes | Reason:
    """Check the signature alone. Gives what was signed, or why not, as verify."""
    candidates = ring.candidates(header.kid, header.algorithm)
    if not candidates:
        known = header.kid is not None and ring.knows(header.kid)
        return Reason.REFUSED_ALGORITHM if known else Reason.UNKNOWN_KEY
    # Unknown members of the header are ignored as long as they are not critical (RFC 7515 section 4).
    registry = _Registry(algorithms=[_jose_name(header.algorithm)], strict_check_header=False)
    for candidate in candidates:
        try:
            return jws.deserialize_compact(token, candidate.key, registry=registry).payload
        except (JoseError, ValueError):
            continue
    return Reason.BAD_SIGNATURE


def _read_claims(payload: bytes, expected: Expected, now: float) -> Mapping[str, Any] | Reason:
    try:
        claims = read_object(payload)
    except ValueError:
        return Reason.MALFORMED_TOKEN
    return check_claims(claims, expected, now) or claims


def _jose_name(algorithm: str) -> str:
    return "Ed25519" if algorithm == "EdDSA" else algorithm


def _is_accepted_type(header: Mapping[str, Any]) -> bool:
    # Absent is accepted: RFC 7519 makes typ optional and several issuers leave it out of access tokens. What tells an
    # ID token is in its claims.
    kind = header.get("typ", "JWT")
    return isinstance(kind, str) and kind.lower() in _TYPES
