"""The cookies of a login in a browser: this module names, reads, sets and deletes them (SPEC 44).

Several servers may share a host, each under a path of its own, while ``__Host-`` cookies are for the whole host: names
carry a fingerprint, and what a cookie holds is sealed for one issuer.
"""

import re
import secrets

from postern_sidecar.facade.artefacts import fingerprint
from postern_sidecar.facade.messages import FacadeRequest

__all__ = ["MAX_COOKIE_BYTES", "CookieNames", "deleted", "new_secret", "read_cookies", "session", "stored"]

MAX_COOKIE_BYTES = 4000
"""Browsers drop cookies of more than 4,096 bytes, attributes included (RFC 6265 section 6.1)."""
_MAX_PAIRS = 200
_SECRET = re.compile(r"[A-Za-z0-9_-]{22}")

Header = tuple[bytes, bytes]


class CookieNames:
    """The names of the cookies of one issuer."""

    def __init__(self, issuer: str) -> None:
        """Take our issuer. On http, which is for development on loopback, browsers refuse the prefix __Host-."""
        prefix = "__Host-" if issuer.startswith("https://") else ""
        owner = fingerprint(issuer)[:8]
        self.csrf = f"{prefix}postern-csrf-{owner}"
        self.consent = f"{prefix}postern-consent-{owner}"
        self.transactions = f"{prefix}postern-tx-"
        """What the names of all transactions begin with, those of other servers on this host too."""

    def transaction(self, state: str) -> str:
        """Give the name for the login that has this state at the identity provider."""
        return self.transactions + fingerprint(state)[:16]


def read_cookies(request: FacadeRequest) -> dict[str, str]:
    """Give the cookies that the browser sent. A name with two values is left out: one of them is not from us."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    text = b";".join(request.values(b"cookie")).decode("latin-1")
    for pair in text.split(";", _MAX_PAIRS)[:_MAX_PAIRS]:
        name, _, value = pair.strip(" \t").partition("=")
        if found.setdefault(name, value) != value:
            twice.add(name)
    return {name: value for name, value in found.items() if name not in twice}


def stored(name: str, value: str, max_age_s: int) -> Header:
    """Give the header that sets a cookie for a time."""
    return _set_cookie(name, value, f"; Max-Age={max_age_s}")


def session(name: str, value: str) -> Header:
    """Give the header that sets a cookie until the browser is closed."""
    return _set_cookie(name, value, "")


def deleted(name: str) -> Header:
    """Give the header that deletes a cookie."""
    return _set_cookie(name, "", "; Max-Age=0")


def new_secret(current: str | None = None) -> str:
    """Give 128 random bits as 22 characters; those that the browser has already, if they can be ours."""
    return current if current is not None and _SECRET.fullmatch(current) else secrets.token_urlsafe(16)


def _set_cookie(name: str, value: str, lifetime: str) -> Header:
    secure = "; Secure" if name.startswith("__Host-") else ""
    return b"set-cookie", f"{name}={value}; Path=/{lifetime}{secure}; HttpOnly; SameSite=Lax".encode("ascii")
