"""Is this token for us, and now? This module checks the registered claims (RFC 7519 section 4.1, RFC 9068)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from postern_sidecar.outcome import Reason

__all__ = ["Expected", "check_claims", "is_date", "is_foreign_kind", "is_one_of", "names_one_of"]

_LAST_SECOND = 253402300799
"""End of the year 9999: what lies beyond is no date."""
_ID_TOKEN_CLAIMS = ("nonce", "at_hash", "c_hash")
_FOREIGN_KINDS = frozenset(("id", "id_token", "refresh", "refresh_token", "offline", "logout"))
"""Kinds of token that some issuers tell apart only inside: Keycloak by typ, Cognito and Hydra by token_use."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say."""

    issuers: frozenset[str]
    """iss must be one of them, byte for byte."""
    audiences: frozenset[str]
    """aud must name one of them."""
    audience_required: bool
    """False: aud is not looked at."""
    client_id: str
    """client_id, else azp, must be this; empty: neither is looked at."""
    leeway_s: float


def check_claims(claims: Mapping[str, Any], expected: Expected, now: float) -> Reason | None:
    """Give the first fault, None when there is none. now is in epoch seconds."""
    if not is_one_of(claims.get("iss"), expected.issuers):
        return Reason.WRONG_ISSUER
    if expected.audience_required and not names_one_of(claims.get("aud"), expected.audiences):
        return Reason.WRONG_AUDIENCE
    if expected.client_id and not _is_issued_to(claims, expected.client_id):
        return Reason.WRONG_AUDIENCE
    if _is_other_kind(claims):
        return Reason.ID_TOKEN
    if not _is_well_formed(claims):
        return Reason.BAD_CLAIMS
    if now >= claims["exp"] + expected.leeway_s:
        return Reason.EXPIRED
    if any(claims.get(name, 0) > now + expected.leeway_s for name in ("nbf", "iat")):
        return Reason.NOT_YET_VALID
    return None


def is_one_of(value: object, accepted: frozenset[str]) -> bool:
    """Whether a claim is a string, and one of these."""
    return isinstance(value, str) and value in accepted


def names_one_of(audience: object, accepted: frozenset[str]) -> bool:
    """Whether aud names one of these: one string, or an array of strings (RFC 7519 section 4.1.3)."""
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not all(isinstance(item, str) for item in named):
        return False
    return not accepted.isdisjoint(named)


def _is_issued_to(claims: Mapping[str, Any], client_id: str) -> bool:
    """Whether a token names this client (RFC 9068 section 2.2), or lacks the claim and names it in azp.

    With azp, and the client in aud as well, it would be the client's ID token (OpenID Connect Core section 2).
    """
    if "client_id" in claims:
        return bool(claims["client_id"] == client_id)
    return claims.get("azp") == client_id and not names_one_of(claims.get("aud"), frozenset((client_id,)))


def _is_other_kind(claims: Mapping[str, Any]) -> bool:
    return any(name in claims for name in _ID_TOKEN_CLAIMS) or is_foreign_kind(claims)


def is_foreign_kind(claims: Mapping[str, Any]) -> bool:
    """Whether the claims say themselves that the token is an ID token, a refresh token or a logout token."""
    kinds = (claims.get("typ"), claims.get("token_use"))
    return any(isinstance(kind, str) and kind.lower() in _FOREIGN_KINDS for kind in kinds)


def _is_well_formed(claims: Mapping[str, Any]) -> bool:
    return (
        is_date(claims.get("exp"))
        and all(is_date(claims[name]) for name in ("nbf", "iat") if name in claims)
        and all(isinstance(claims[name], str) for name in ("sub", "client_id", "azp") if name in claims)
    )


def is_date(value: object) -> bool:
    """Whether a claim is a NumericDate (RFC 7519 section 2)."""
    # bool is an int to Python; without this, exp: true would be a date.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LAST_SECOND
