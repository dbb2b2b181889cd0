"""What strangers wrote, made fit to be read: this module turns names and URLs into what the pages show.

Nothing here escapes HTML, the templates do that. Here is what escaping leaves: text that runs backwards, hides, spills
over other lines or is too long to leave room for the truth.
"""

import unicodedata
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

__all__ = ["Destination", "destination", "host_of", "provider_name", "visible"]

MAX_NAME = 80
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MAX_MARKS = 2
"""Combining marks on one letter: languages need two, more of them grow over the lines above."""
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_PROVIDERS = {
    "auth0": "Auth0",
    "betterAuth": "Better Auth",
    "entra": "Microsoft Entra ID",
    "github": "GitHub",
    "google": "Google",
    "keycloak": "Keycloak",
    "okta": "Okta",
    "supabase": "Supabase",
    "workos": "WorkOS",
}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a redirect URI leads."""

    kind: Literal["web", "loopback", "application"]
    """application: whatever opens the links of a private-use scheme (RFC 8252 section 7.1)."""
    name: str
    """Host and port as they stand in the URI, or the scheme."""


def visible(text: str, limit: int = MAX_NAME) -> str:
    """Give the text as one line of at most so many characters in which each can be seen and none acts on others."""
    shown: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFKC", text[: limit * 4]):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category == "Zs" or character in "\t\r\n":
            shown.append(" ")
        elif category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            shown.append(_REPLACEMENT)
        elif marks <= _MAX_MARKS:
            shown.append(character)
    line = " ".join("".join(shown).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def destination(redirect_uri: str) -> Destination:
    """Give where a redirect URI leads; it is a valid one."""
    parts = urlsplit(redirect_uri)
    if parts.scheme not in ("http", "https"):
        return Destination("application", parts.scheme)
    kind: Literal["web", "loopback"] = "loopback" if parts.hostname in _LOOPBACK else "web"
    return Destination(kind, host_of(redirect_uri))


def host_of(url: str) -> str:
    """Give host and port of a valid URL, never what stands before an @."""
    return urlsplit(url).netloc.rpartition("@")[2]


def provider_name(provider: str, issuer: str) -> str:
    """Give the name under which people know the identity provider: of a preset its own, else the issuer's host."""
    return _PROVIDERS.get(provider) or host_of(issuer) or issuer
