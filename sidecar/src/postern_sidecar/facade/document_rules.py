"""What makes a client document (OAuth Client ID Metadata Document): this module checks its URL and reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.strict_json import read_object

__all__ = ["MAX_DOCUMENT_URL", "Document", "bad_document", "host_of", "read_document"]

MAX_DOCUMENT_URL = 512
"""Characters. A client_id travels in URLs, cookies and log lines."""
MAX_NAME = 200
MAX_REDIRECT_URIS = 50

_URL = re.compile(
    r"https://(?P<host>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)(?::443)?"
    r"(?P<path>/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})+)"
)
_DOT_SEGMENTS = (".", "..")
_DEFAULT_GRANTS = ("authorization_code", "refresh_token")


@dataclass(frozen=True, slots=True)
class Document:
    """What a client says of itself under its own URL."""

    url: str
    """The client_id."""
    name: str
    redirect_uris: tuple[str, ...]
    """As published: which of them the policy allows is for the caller."""
    grant_types: tuple[str, ...]


def bad_document(detail: str) -> OAuthFault:
    """Give the fault for a client whose document cannot be used; the detail is for the log."""
    return OAuthFault("invalid_client", "The metadata document of the client cannot be used.", detail=detail)


def host_of(url: str) -> str:
    """Give the host of a client_id that may be fetched. Raises OAuthFault invalid_client for every other.

    https with a path, no user name, fragment, or dot segments (section 3 of the draft); besides no query, which it
    advises against, no other port, and no host that is not a plain name in lower case.
    """
    found = _URL.fullmatch(url) if len(url) <= MAX_DOCUMENT_URL else None
    if found is None or len(found["host"]) > 253:
        raise bad_document("not an https URL of a plain host with a path and nothing else")
    if any(segment in _DOT_SEGMENTS for segment in re.split(r"[/\\]", unquote(found["path"]))):
        raise bad_document("dot segments in the path")
    return found["host"]


def read_document(url: str, body: bytes, content_type: str) -> Document:
    """Read what was found under the URL. Raises OAuthFault invalid_client."""
    if content_type != "application/json" and not re.fullmatch(r"application/[a-z0-9.-]+\+json", content_type):
        raise bad_document(f"content type {content_type[:80]!r} instead of JSON")
    try:
        members = read_object(body)
    except ValueError as error:
        raise bad_document(f"not one unambiguous JSON object: {error}") from error
    if members.get("client_id") != url:
        # Simple string comparison (RFC 3986 section 6.2.1): else one could speak for another.
        raise bad_document("its client_id is not its URL")
    _check_public(members)
    name = members.get("client_name")
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        raise bad_document(f"client_name must be a text of up to {MAX_NAME} characters")
    grants = _texts(members, "grant_types") or _DEFAULT_GRANTS
    if "authorization_code" not in grants or "code" not in (_texts(members, "response_types") or ("code",)):
        raise bad_document("it is for other grants than authorization_code")
    redirect_uris = _texts(members, "redirect_uris")
    if not 1 <= len(redirect_uris) <= MAX_REDIRECT_URIS:
        raise bad_document(f"redirect_uris must have 1 to {MAX_REDIRECT_URIS} items")
    return Document(url, name, redirect_uris, grants)


def _check_public(members: Mapping[str, Any]) -> None:
    if any(member.startswith("client_secret") for member in members):
        raise bad_document("a public document cannot hold a secret")
    # Some name another method first and list what else they do (ChatGPT); they use none, which our metadata offers.
    method = members.get("token_endpoint_auth_method") or "none"
    if method != "none" and "none" not in _texts(members, "token_endpoint_auth_methods_supported"):
        raise bad_document("its token_endpoint_auth_method is not none")


def _texts(members: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Give a member that is a list of strings; empty: absent or null."""
    value = members.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise bad_document(f"{name} is not a list of strings")
    return tuple(value)
