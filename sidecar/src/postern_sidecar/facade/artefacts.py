"""What travels sealed: this module is the shape of each artefact, and their lifetimes.

Member names are short, for they travel in URLs and headers.
"""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from postern_sidecar.sealing import Purpose, Seals

__all__ = [
    "CODE_S",
    "CONSENT_S",
    "TRANSACTION_S",
    "Code",
    "ConsentRequest",
    "RefreshGrant",
    "Registration",
    "Transaction",
    "fingerprint",
    "open_as",
    "seal_as",
]

CONSENT_S = 600
"""How long a consent page may stay open."""
TRANSACTION_S = 600
"""From consent to callback (SPEC 46)."""
CODE_S = 60
"""RFC 6749 section 4.1.2 allows ten minutes; clients need seconds."""


class _Artefact(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Common settings: immutable, nothing unknown, defaults left out."""


class Registration(_Artefact, frozen=True):
    """A registered client: the content of its client_id."""

    redirect_uris: tuple[str, ...] = msgspec.field(name="r")
    auth_method: str = msgspec.field(name="m")
    """none, client_secret_post or client_secret_basic."""
    issued_at: int = msgspec.field(name="i")
    name: str = msgspec.field(name="n", default="")
    grant_types: tuple[str, ...] = msgspec.field(name="g", default=("authorization_code", "refresh_token"))


class ConsentRequest(_Artefact, frozen=True):
    """A valid authorization request, waiting for the user: hidden in the consent form."""

    client_id: str = msgspec.field(name="c")
    redirect_uri: str = msgspec.field(name="r")
    challenge: str = msgspec.field(name="p")
    """code_challenge, S256."""
    scopes: tuple[str, ...] = msgspec.field(name="s")
    """What the client asked for and may have."""
    resource: str = msgspec.field(name="a")
    expires_at: int = msgspec.field(name="e")
    browser: str = msgspec.field(name="b")
    """fingerprint() of the CSRF cookie: the form belongs to this browser."""
    state: str | None = msgspec.field(name="t", default=None)
    """state of the client; None: it sent none."""


class Transaction(_Artefact, frozen=True):
    """A login under way at the identity provider: the content of the browser's cookie."""

    client: str = msgspec.field(name="c")
    """fingerprint() of the client_id."""
    redirect_uri: str = msgspec.field(name="r")
    challenge: str = msgspec.field(name="p")
    scopes: tuple[str, ...] = msgspec.field(name="s")
    resource: str = msgspec.field(name="a")
    expires_at: int = msgspec.field(name="e")
    upstream_state: str = msgspec.field(name="u")
    verifier: str = msgspec.field(name="v")
    """Our own code_verifier towards the identity provider."""
    nonce: str = msgspec.field(name="n")
    state: str | None = msgspec.field(name="t", default=None)


class Code(_Artefact, frozen=True):
    """Our authorization code. The identity provider's code inside can be used once, and so can ours."""

    upstream_code: str = msgspec.field(name="u")
    verifier: str = msgspec.field(name="v")
    nonce: str = msgspec.field(name="n")
    client: str = msgspec.field(name="c")
    """fingerprint() of the client_id."""
    redirect_uri: str = msgspec.field(name="r")
    challenge: str = msgspec.field(name="p")
    scopes: tuple[str, ...] = msgspec.field(name="s")
    resource: str = msgspec.field(name="a")
    expires_at: int = msgspec.field(name="e")


class RefreshGrant(_Artefact, frozen=True):
    """Our refresh token."""

    upstream_token: str = msgspec.field(name="u")
    client: str = msgspec.field(name="c")
    """fingerprint() of the client_id."""
    scopes: tuple[str, ...] = msgspec.field(name="s")
    """The grant: a refresh may ask for less, never for more (RFC 6749 section 6)."""
    resource: str = msgspec.field(name="a")
    subject: str = msgspec.field(name="o")
    """sub at the identity provider: a refresh that speaks for another is refused."""
    family: str = msgspec.field(name="f")
    """Random; the same in all refresh tokens of one login, for the audit line."""
    issued_at: int = msgspec.field(name="i")
    claims: dict[str, Any] = msgspec.field(name="x", default_factory=dict)
    """Of the ID token or userinfo at login, which a refresh seldom repeats; bounded by whoever fills it."""


_PURPOSES: dict[type[_Artefact], Purpose] = {
    Registration: Purpose.REGISTRATION,
    ConsentRequest: Purpose.CONSENT_REQUEST,
    Transaction: Purpose.TRANSACTION,
    Code: Purpose.CODE,
    RefreshGrant: Purpose.REFRESH_TOKEN,
}
_A = TypeVar("_A", bound=_Artefact)


def seal_as(seals: Seals, artefact: _Artefact, now: float) -> str:
    """Give the artefact sealed for its purpose."""
    return seals.seal(_PURPOSES[type(artefact)], msgspec.json.encode(artefact), now)


def open_as(seals: Seals, kind: type[_A], sealed: str) -> _A | None:
    """Give the artefact; None: the text is none of this kind, issuer and ring. Whether it expired is for the caller."""
    content = seals.open(_PURPOSES[kind], sealed)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError:
        # Sealed by us, but by another release with another shape: the holder starts anew.
        return None


def fingerprint(text: str) -> str:
    """Give a short name for a long text that identifies it: SHA-256 in base64url, 43 characters."""
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
