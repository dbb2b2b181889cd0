"""What the identity provider says of a token when asked: this module reads the answers of each kind of endpoint.

Each reader gives the token's claims, or why the token is refused. It raises ValueError for an answer that is not what
the endpoint should give: nobody knows then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from postern_sidecar.outcome import Reason
from postern_sidecar.tokens.registered import is_date, is_foreign_kind, is_one_of, names_one_of

__all__ = ["AnswerReader", "Binding", "read_app_token", "read_introspection", "read_tokeninfo", "read_userinfo"]

_NOT_CLAIMS = frozenset(("active", "token_type"))
_FOREIGN_TYPES = frozenset(("refresh_token", "id_token"))


@dataclass(frozen=True, slots=True)
class Binding:
    """What makes a token good for us."""

    issuers: frozenset[str]
    audiences: frozenset[str]
    audience_required: bool
    client_id: str
    """Ours; empty: we are no client there."""
    leeway_s: float


AnswerReader = Callable[[Mapping[str, Any], Binding, float], Mapping[str, Any] | Reason]


def read_introspection(answer: Mapping[str, Any], binding: Binding, now: float) -> Mapping[str, Any] | Reason:
    """Read RFC 7662 section 2.2: bound by aud, or because it was issued to our own client."""
    if not isinstance(answer.get("active"), bool):
        raise ValueError("active is not a boolean")  # noqa: TRY004 - bad input, like any other fault of an answer
    if not answer["active"]:
        return Reason.INACTIVE
    claims = {name: value for name, value in answer.items() if value is not None and name not in _NOT_CLAIMS}
    if "iss" in claims and not is_one_of(claims["iss"], binding.issuers):
        return Reason.WRONG_ISSUER
    is_ours = bool(binding.client_id) and claims.get("client_id") == binding.client_id
    if binding.audience_required and not is_ours and not names_one_of(claims.get("aud"), binding.audiences):
        return Reason.WRONG_AUDIENCE
    if is_foreign_kind(claims) or _lower(answer.get("token_type")) in _FOREIGN_TYPES:
        return Reason.ID_TOKEN
    return _fault(claims, binding, now) or claims


def read_userinfo(answer: Mapping[str, Any], _: Binding, __: float) -> Mapping[str, Any] | Reason:
    """Read OpenID Connect Core section 5.3.2; nothing in it says for whom the token is."""
    claims = {name: value for name, value in answer.items() if value is not None}
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise ValueError("names no sub")
    return claims


def read_tokeninfo(answer: Mapping[str, Any], binding: Binding, now: float) -> Mapping[str, Any] | Reason:
    """Read Google's tokeninfo of an access token: bound by aud, else azp. Its numbers and booleans are strings."""
    claims = {name: value for name, value in answer.items() if value is not None}
    if not binding.client_id or claims.get("aud", claims.get("azp")) != binding.client_id:
        return Reason.WRONG_AUDIENCE
    claims["exp"] = _exp(claims, now)
    if claims.get("email_verified") in ("true", "false"):
        claims["email_verified"] = claims["email_verified"] == "true"
    return _fault(claims, binding, now) or claims


def read_app_token(answer: Mapping[str, Any], binding: Binding, now: float) -> Mapping[str, Any] | Reason:
    """Read GitHub's answer about a token of our application. sub is the number of the user, which never changes."""
    app, user, scopes = answer.get("app"), answer.get("user"), answer.get("scopes")
    if not isinstance(app, dict) or not isinstance(user, dict) or not isinstance(user.get("id"), int):
        raise ValueError("names no app or no user")  # noqa: TRY004 - as above
    if not binding.client_id or app.get("client_id") != binding.client_id:
        return Reason.WRONG_AUDIENCE
    names = [scope for scope in scopes if isinstance(scope, str)] if isinstance(scopes, list) else []
    claims: dict[str, Any] = {name: value for name, value in user.items() if value is not None and _is_said(name)}
    claims |= {"sub": str(user["id"]), "client_id": binding.client_id, "scope": " ".join(names)}
    if isinstance(answer.get("expires_at"), str):
        claims["exp"] = datetime.fromisoformat(answer["expires_at"]).timestamp()
    return _fault(claims, binding, now) or claims


def _is_said(name: str) -> bool:
    # A score of the members are URLs of the API.
    return name in ("avatar_url", "html_url") or not (name == "url" or name.endswith("_url"))


def _exp(claims: Mapping[str, Any], now: float) -> float:
    for name, start in (("exp", 0.0), ("expires_in", now)):
        value = claims.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
            return start + int(value)
        if is_date(value):
            return start + float(str(value))
    raise ValueError("says neither exp nor expires_in")


def _fault(claims: Mapping[str, Any], binding: Binding, now: float) -> Reason | None:
    if not all(is_date(claims[name]) for name in ("exp", "nbf", "iat") if name in claims):
        return Reason.BAD_CLAIMS
    if not all(isinstance(claims[name], str) for name in ("sub", "client_id", "azp") if name in claims):
        return Reason.BAD_CLAIMS
    if "exp" in claims and now >= claims["exp"] + binding.leeway_s:
        return Reason.EXPIRED
    if any(claims.get(name, 0) > now + binding.leeway_s for name in ("nbf", "iat")):
        return Reason.NOT_YET_VALID
    return None


def _lower(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""
