"""What a token endpoint says: this module reads its answers, of every shape that identity providers give them.

JSON or a form, errors under any status (GitHub's come with 200), members that are missing, null or of another type.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from postern_sidecar.idp.client import Answer
from postern_sidecar.strict_json import read_object

__all__ = ["Refusal", "RefusalKind", "UpstreamTokens", "read_tokens", "refusal_of"]

MAX_TOKEN_CHARS = 16_384
"""A longer one would not fit into a request."""
_LONGEST_LIFE_S = 10 * 365 * 24 * 3600
_FORM = "application/x-www-form-urlencoded"


class RefusalKind(StrEnum):
    """Whose fault it is. Closed."""

    GRANT = "grant"
    """The code or refresh token is good no longer: the client logs in anew."""
    CLIENT = "client"
    """Our own id or secret."""
    OUTAGE = "outage"
    """Nobody's: it can be tried again."""
    OTHER = "other"
    """The request is not what the identity provider wants: a fault of the policy, or of ours."""


_KINDS: Mapping[str, RefusalKind] = MappingProxyType(
    {
        # RFC 6749 section 5.2
        "invalid_grant": RefusalKind.GRANT,
        "invalid_client": RefusalKind.CLIENT,
        # Of the authorization endpoint, yet sent here as well; RFC 8628 section 3.5
        "temporarily_unavailable": RefusalKind.OUTAGE,
        "server_error": RefusalKind.OUTAGE,
        "slow_down": RefusalKind.OUTAGE,
        # A refresh that needs the user again (OpenID Connect Core section 3.1.2.6, as Entra uses them)
        "access_denied": RefusalKind.GRANT,
        "interaction_required": RefusalKind.GRANT,
        "login_required": RefusalKind.GRANT,
        "consent_required": RefusalKind.GRANT,
        # GitHub
        "bad_verification_code": RefusalKind.GRANT,
        "bad_refresh_token": RefusalKind.GRANT,
        "incorrect_client_credentials": RefusalKind.CLIENT,
    }
)


@dataclass(frozen=True, slots=True)
class UpstreamTokens:
    """A good answer."""

    access_token: str
    expires_in: int | None
    """Seconds from received_at, at least 1; None: not stated."""
    scope: str | list[str] | None
    """As the identity provider spells it; None: what was asked for (RFC 6749 section 5.1)."""
    refresh_token: str | None
    id_token: str | None
    received_at: float
    """Epoch seconds."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Anything but a good answer."""

    kind: RefusalKind
    detail: str
    """For the log alone: words of the identity provider among them."""


def read_tokens(answer: Answer, now: float) -> UpstreamTokens | Refusal:
    """Read the answer to a token request (RFC 6749 section 5); now is in epoch seconds."""
    refusal = refusal_of(answer)
    if refusal is not None:
        return refusal
    members = _members(answer)
    if members is None:
        return Refusal(RefusalKind.OUTAGE, f"neither JSON nor a form, but {answer.content_type or 'of no type'}")
    access_token = _token(members, "access_token")
    if access_token is None:
        return Refusal(RefusalKind.OTHER, "no usable access_token in the answer")
    kind = members.get("token_type")
    if kind is not None and (not isinstance(kind, str) or kind.lower() != "bearer"):
        return Refusal(RefusalKind.OTHER, "the access token is of another type than Bearer")
    return UpstreamTokens(
        access_token=access_token,
        expires_in=_seconds(members.get("expires_in")),
        scope=_scope(members.get("scope")),
        refresh_token=_token(members, "refresh_token"),
        id_token=_token(members, "id_token"),
        received_at=now,
    )


def refusal_of(answer: Answer) -> Refusal | None:
    """Give why an answer is none; None: its status is 200 and it names no error."""
    if answer.status == 429 or answer.status >= 500:
        return Refusal(RefusalKind.OUTAGE, f"status {answer.status}")
    members = _members(answer) or {}
    error = members.get("error")
    if isinstance(error, str) and error:
        kind = _KINDS.get(error, RefusalKind.CLIENT if answer.status == 401 else RefusalKind.OTHER)
        if answer.status == 401 and error == "access_denied":
            # Auth0's words for a wrong client secret.
            kind = RefusalKind.CLIENT
        return Refusal(kind, f"status {answer.status}, {error}: {members.get('error_description', '')}")
    if answer.status == 401:
        return Refusal(RefusalKind.CLIENT, "status 401")
    if answer.status != 200:
        # No word of OAuth: something on the way answered, such as a gateway.
        return Refusal(RefusalKind.OUTAGE, f"status {answer.status} without an OAuth error")
    return None


def _members(answer: Answer) -> Mapping[str, Any] | None:
    try:
        if answer.content_type == _FORM:
            return dict(parse_qsl(answer.body.decode(), errors="strict", max_num_fields=64))
        return read_object(answer.body)
    except ValueError:
        return None


def _token(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    # Printable ASCII (RFC 6749 appendix A.12): it goes into headers.
    if isinstance(value, str) and 0 < len(value) <= MAX_TOKEN_CHARS and value.isascii() and value.isprintable():
        return value
    return None


def _seconds(value: object) -> int | None:
    """Read expires_in: a number, or a text of digits as some send."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
        return None
    return int(min(value, _LONGEST_LIFE_S))


def _scope(value: object) -> str | list[str] | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None
