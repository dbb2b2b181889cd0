"""Where codes may be sent: this module decides which redirect URIs a client may have, and which one is meant.

A URI is taken or refused as it is written, never put right: what a browser reads in it must be what we read. Only
characters of RFC 3986 occur, and no notation that browsers treat as another one.
"""

import re
from ipaddress import IPv6Address
from urllib.parse import unquote

from postern_crds.sidecar_config import RegistrationConfig

__all__ = ["MAX_REDIRECT_URI", "is_same_redirect", "refusal"]

MAX_REDIRECT_URI = 1024
"""Characters; it travels in the transaction cookie, which has to stay below 4 KiB."""
_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts of programs on the user's computer (RFC 8252 sections 7.3 and 8.3)."""

_URI = re.compile(
    # No backslash, quotes, brackets of other kinds, spaces or anything beyond ASCII; no '*' (SPEC 45), no fragment.
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,63}):(?P<rest>/(?:[A-Za-z0-9\-._~!$&'()+,;=:@/?\[\]]|%[0-9A-Fa-f]{2})*)"
)
_BRACKETS = re.compile(r"[\[\]]")
_REST = re.compile(r"(?://(?P<authority>[^/?]*))?(?P<path>[^?]*)(?:\?.*)?")
_AUTHORITY = re.compile(r"(?P<host>[a-z0-9.-]+|\[[0-9a-f:]{2,39}\])(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,2}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOOPBACK = re.compile(
    r"http://(?P<host>localhost|127\.0\.0\.1|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?(?P<rest>[/?].*)?"
)

_FORBIDDEN_SCHEME = re.compile(
    # What runs in the browser or shows other content as a page.
    r"javascript|livescript|mocha|vbscript|data|file|filesystem|blob|about|view-source|jar|mhtml|mk|res|resource|cid|mid|"
    r"chrome|chrome-untrusted|devtools|edge|opera|wyciwyg|urn|"
    # What carries the code to another machine.
    r"wss?|s?ftps?|tftp|gopher|nntp|news|wais|davs?|ldaps?|smb|cifs|nfs|afp|telnet|ssh|rlogin|rdp|vnc|git|svn|rsync|"
    r"ircs?|xmpp|mailto|tel|sms|mms|sips?|facetime|magnet|"
    # What starts programs of the system with arguments of the sender's choice.
    r"intent|shell|ms-msdt|ms-officecmd|ms-search|search|search-ms|ms-appinstaller|help|hcp|vnd\.ms\.radio|"
    # What looks like a web address and is none.
    r"(?:http|hxxp|shttp).*"
)


def refusal(uri: str, registration: RegistrationConfig) -> str | None:
    """Give why no client may have this redirect URI, in printable ASCII without quotes; None: it may.

    https anywhere the policy allows, http on loopback, private-use schemes (RFC 8252 section 7.1), and those that the
    policy names; none with what RFC 6749 section 3.1.2 and SPEC 45 exclude.
    """
    if len(uri) > MAX_REDIRECT_URI:
        return f"is longer than {MAX_REDIRECT_URI} characters"
    found = _URI.fullmatch(uri)
    if found is None:
        return "is no absolute URI without fragment, wildcard and backslash"
    scheme, rest = found["scheme"], found["rest"]
    is_web = scheme in ("http", "https")
    if not is_web and _FORBIDDEN_SCHEME.fullmatch(scheme.lower()):
        return "has a scheme that is not allowed, or not written in lower case"
    parts = _REST.fullmatch(rest)
    if parts is None or _has_dot_segments(parts["path"]):
        return "has dot segments in its path"
    authority = parts["authority"] or ""
    if "@" in authority:
        return "has a user name or password"
    if _BRACKETS.search(rest.removeprefix(f"//{authority}") if is_web else rest):
        return "has brackets outside a host"
    if not is_web or uri in registration.redirect_uris:
        return None
    return _web_refusal(scheme, authority, registration)


def is_same_redirect(registered: str, asked: str) -> bool:
    """Whether the URI of a request is the registered one: the same string, on loopback with any port (RFC 8252 7.3)."""
    if registered == asked:
        return True
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(asked)
    if ours is None or theirs is None or int(theirs["port"] or 80) > 65535:
        return False
    return (ours["host"], ours["rest"]) == (theirs["host"], theirs["rest"])


def _web_refusal(scheme: str, authority: str, registration: RegistrationConfig) -> str | None:
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or not _is_host(parts["host"]):
        return "has no host, or one that is not written plainly in lower case"
    if int(parts["port"] or 1) > 65535:
        return "has an impossible port"
    host = parts["host"]
    if host in _LOOPBACK_HOSTS:
        return None
    if scheme == "http":
        return "is http, which is for localhost, 127.0.0.1 and [::1] alone"
    if registration.allowed_hosts and not any(_covers(allowed, host) for allowed in registration.allowed_hosts):
        return "has a host that the policy does not allow"
    return None


def _has_dot_segments(path: str) -> bool:
    # Decoded, even twice, and with backslashes and path parameters, as one server or another reads them.
    decoded = unquote(unquote(path)).replace("\\", "/")
    return any(segment.partition(";")[0] in (".", "..") for segment in decoded.split("/"))


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            # Not ::ffff:127.0.0.1, which is an IPv4 address in disguise.
            return IPv6Address(host[1:-1]).ipv4_mapped is None
        except ValueError:
            return False
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    # Browsers take a host that ends in a number for an IPv4 address, in notations of their own.
    if _NUMBER.fullmatch(labels[-1]):
        return len(labels) == 4 and all(_DECIMAL.fullmatch(label) and int(label) < 256 for label in labels)
    return True


def _covers(allowed: str, host: str) -> bool:
    allowed = allowed.lower()
    return host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed
