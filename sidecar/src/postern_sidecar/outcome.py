"""What a decision can end in, and what the caller is told of it: this module is the closed set of outcomes.

Details of a refusal go to the log; callers only ever see the texts of the one table here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["Invalid", "Outcome", "Principal", "Reason", "Unavailable", "Valid", "Verdict", "Verification", "verdict"]


class Outcome(StrEnum):
    """The kinds of decision. Closed: it labels the audit line and the metrics."""

    FORWARDED = "forwarded"
    """A valid token; the request goes to the server."""
    PUBLIC = "public"
    """A public path; the request goes to the server without a principal."""
    ANSWERED = "answered"
    """Discovery and CORS preflights, answered by the sidecar."""
    FACADE = "facade"
    """An endpoint of our authorization server (mode Proxy); its answer has an audit line of its own."""
    UNAUTHENTICATED = "unauthenticated"
    INVALID = "invalid"
    INSUFFICIENT = "insufficient"
    REFUSED = "refused"
    """Not a question of tokens: path, Host, Origin, method, malformed credentials."""
    UNAVAILABLE = "unavailable"
    FAILED = "failed"
    """A fault of ours."""


class Reason(StrEnum):
    """Why the sidecar answered itself instead of forwarding. Closed: it labels the audit line and the metrics."""

    SERVED = "served"
    PREFLIGHT = "preflight"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    AMBIGUOUS_PATH = "ambiguous_path"
    MALFORMED_HOST = "malformed_host"
    MISDIRECTED_HOST = "misdirected_host"
    FORBIDDEN_ORIGIN = "forbidden_origin"
    NO_CREDENTIALS = "no_credentials"
    MALFORMED_AUTHORIZATION = "malformed_authorization"
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - a reason, not a secret
    REFUSED_ALGORITHM = "refused_algorithm"
    REFUSED_TYPE = "refused_type"
    REFUSED_EXTENSION = "refused_extension"
    ID_TOKEN = "id_token"  # noqa: S105 - a reason, not a secret
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    BAD_CLAIMS = "bad_claims"
    UNKNOWN_SEAL = "unknown_seal"
    INACTIVE = "inactive"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    KEYS_UNAVAILABLE = "keys_unavailable"
    METADATA_UNAVAILABLE = "metadata_unavailable"
    CA_UNAVAILABLE = "ca_unavailable"
    KEY_RING_UNAVAILABLE = "key_ring_unavailable"
    CREDENTIALS_UNAVAILABLE = "credentials_unavailable"
    VERIFICATION_UNAVAILABLE = "verification_unavailable"
    INTERNAL = "internal"


class Verdict(NamedTuple):
    """What a reason means on the wire."""

    outcome: Outcome
    status: int
    """HTTP status."""
    error: str | None
    """OAuth error code (RFC 6750 section 3.1) or one of ours. None: the challenge names no error."""
    text: str
    """error_description: printable ASCII without quotes and backslashes (RFC 6750 section 3)."""


def _invalid(text: str) -> Verdict:
    return Verdict(Outcome.INVALID, 401, "invalid_token", text)


def _unavailable(text: str) -> Verdict:
    return Verdict(Outcome.UNAVAILABLE, 503, "temporarily_unavailable", text)


def _refused(status: int, error: str, text: str) -> Verdict:
    return Verdict(Outcome.REFUSED, status, error, text)


_VERDICTS: Mapping[Reason, Verdict] = MappingProxyType(
    {
        Reason.SERVED: Verdict(Outcome.ANSWERED, 200, None, "Served."),
        Reason.PREFLIGHT: Verdict(Outcome.ANSWERED, 204, None, "Preflight answered."),
        Reason.NOT_FOUND: _refused(404, "not_found", "There is no document and no endpoint at this path."),
        Reason.METHOD_NOT_ALLOWED: _refused(405, "method_not_allowed", "This method is not allowed here."),
        Reason.AMBIGUOUS_PATH: _refused(400, "invalid_request", "The path can be read in more than one way."),
        Reason.MALFORMED_HOST: _refused(400, "invalid_request", "Exactly one well-formed Host header is required."),
        Reason.MISDIRECTED_HOST: _refused(421, "misdirected_request", "This server does not answer for this Host."),
        Reason.FORBIDDEN_ORIGIN: _refused(403, "forbidden_origin", "Requests from this Origin are not allowed."),
        # RFC 6750 section 3.1: without credentials no error code is named.
        Reason.NO_CREDENTIALS: Verdict(Outcome.UNAUTHENTICATED, 401, None, "An access token is required."),
        Reason.MALFORMED_AUTHORIZATION: _refused(
            400, "invalid_request", "Exactly one Authorization header with one Bearer token is required."
        ),
        Reason.MALFORMED_TOKEN: _invalid("The access token is not a well-formed signed JWT."),
        Reason.REFUSED_ALGORITHM: _invalid("The access token is signed with an algorithm that is not accepted."),
        Reason.REFUSED_TYPE: _invalid("The token is of a type that is not accepted."),
        Reason.REFUSED_EXTENSION: _invalid("The access token demands an extension that is not supported."),
        Reason.ID_TOKEN: _invalid("The token is not an access token."),
        Reason.UNKNOWN_KEY: _invalid("The access token is signed with an unknown key."),
        Reason.BAD_SIGNATURE: _invalid("The signature of the access token is wrong."),
        Reason.BAD_CLAIMS: _invalid("A claim of the access token is missing or malformed."),
        Reason.UNKNOWN_SEAL: _invalid("The access token was not issued by this server."),
        Reason.INACTIVE: _invalid("The access token is not active at the issuer."),
        Reason.EXPIRED: _invalid("The access token expired."),
        Reason.NOT_YET_VALID: _invalid("The access token is not valid yet."),
        Reason.WRONG_ISSUER: _invalid("The access token is from another issuer."),
        Reason.WRONG_AUDIENCE: _invalid("The access token is for another audience."),
        Reason.INSUFFICIENT_SCOPE: Verdict(
            Outcome.INSUFFICIENT, 403, "insufficient_scope", "The access token lacks a required scope."
        ),
        Reason.KEYS_UNAVAILABLE: _unavailable("The signing keys of the issuer are not available at present."),
        Reason.METADATA_UNAVAILABLE: _unavailable("The metadata of the issuer is not available at present."),
        Reason.CA_UNAVAILABLE: _unavailable("The caBundle of the policy is not available at present."),
        Reason.KEY_RING_UNAVAILABLE: _unavailable("The key ring of this server is not available at present."),
        Reason.CREDENTIALS_UNAVAILABLE: _unavailable("This server cannot ask the issuer about tokens at present."),
        Reason.VERIFICATION_UNAVAILABLE: _unavailable("The issuer does not answer about tokens at present."),
        Reason.INTERNAL: Verdict(Outcome.FAILED, 503, "temporarily_unavailable", "The request could not be decided."),
    }
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a verified token speaks for."""

    issuer: str
    subject: str
    """sub of the token; empty when it has none."""
    client_id: str | None
    """client_id of the token, else azp."""
    scopes: frozenset[str]
    expires_at: float
    """Epoch seconds until which it may be trusted without another look: exp without leeway, or earlier."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Identity headers for the server, already encoded; names in lower case."""
    authorization: bytes | None = field(default=None, repr=False)
    """Authorization for the server; None: it gets none."""


@dataclass(frozen=True, slots=True)
class Valid:
    """The token is good."""

    principal: Principal


@dataclass(frozen=True, slots=True)
class Invalid:
    """The token is bad: its holder should get another one."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Nobody can tell at present: the holder should keep the token and come back."""

    reason: Reason
    retry_after_s: int = 5


Verification = Valid | Invalid | Unavailable


def verdict(reason: Reason) -> Verdict:
    """Give what a reason means on the wire."""
    return _VERDICTS[reason]
