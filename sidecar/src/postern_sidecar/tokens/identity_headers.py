"""How an identity travels in headers: this module is the encoding that no claim value can break out of.

A value is UTF-8; every byte outside printable ASCII and '%' itself is percent-encoded, as are a leading and a trailing
space. A list is joined by commas, and a comma inside an item is percent-encoded. Percent-decoding (after splitting a
list at its commas) gives back exactly the claim.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from postern_crds.sidecar_config import ForwardConfig, SidecarConfig
from postern_sidecar.tokens.claims import Identity, find

__all__ = ["MAX_ALL_BYTES", "MAX_HEADER_BYTES", "encode_list", "encode_text", "identity_headers", "is_identity_header"]

MAX_HEADER_BYTES = 4096
"""Longest single value; a longer one is dropped, not cut: half an identity is worse than none."""
MAX_ALL_BYTES = 16384
"""All names and values together; servers refuse heads of about this size."""

_RESERVED_PREFIXES = (b"x-mcp-user-", b"x-mcp-org-")
_RESERVED = frozenset((b"x-mcp-roles", b"x-mcp-permissions", b"x-mcp-scopes", b"x-mcp-claims"))
_SECRET_CLAIMS = frozenset(("nonce", "at_hash", "c_hash", "s_hash", "jti", "sid"))
"""Of the protocol: they prove something to somebody, or name a session at the identity provider."""
_READABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def encode_text(text: str) -> bytes:
    """Give a text as a header value; printable ASCII stays readable."""
    encoded = quote(text, safe=_READABLE).encode()
    if encoded.startswith(b" "):
        encoded = b"%20" + encoded[1:]
    if encoded.endswith(b" "):
        encoded = encoded[:-1] + b"%20"
    return encoded


def encode_list(items: Iterable[str]) -> bytes:
    """Give a list of texts as a header value."""
    return b",".join(encode_text(item).replace(b",", b"%2C") for item in items)


def is_identity_header(name: bytes, config: SidecarConfig) -> bool:
    """Whether a header of a client would pass for one of ours, in any case and with underscores for hyphens.

    Servers that turn headers into variables (CGI, WSGI) see no difference between the two, so both are removed.
    """
    plain = name.lower().replace(b"_", b"-")
    if plain in _RESERVED or plain.startswith(_RESERVED_PREFIXES):
        return True
    return any(plain == extra.header.lower().encode() for extra in config.forward.claims)


def identity_headers(
    identity: Identity, claims: Mapping[str, Any], forward: ForwardConfig
) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """Give the headers for the server and the names of those that were dropped because they are too long."""
    candidates = list(_standard(identity)) if forward.identity_headers else []
    candidates += [(extra.header.lower().encode(), _encode_any(find(claims, extra.claim))) for extra in forward.claims]
    if forward.identity_headers:
        # Last: where there is not room for all, it is the one that repeats the others.
        candidates.append((b"x-mcp-claims", _encode_claims(claims)))
    kept: list[tuple[bytes, bytes]] = []
    dropped: list[str] = []
    total = 0
    for name, value in candidates:
        if not value:
            continue
        size = len(name) + len(value)
        if len(value) > MAX_HEADER_BYTES or total + size > MAX_ALL_BYTES:
            dropped.append(name.decode())
            continue
        total += size
        kept.append((name, value))
    return kept, dropped


def _standard(identity: Identity) -> Iterable[tuple[bytes, bytes]]:
    yield b"x-mcp-user-id", encode_text(identity.user_id)
    yield b"x-mcp-user-email", encode_text(identity.email)
    yield b"x-mcp-user-name", encode_text(identity.name)
    yield b"x-mcp-user-username", encode_text(identity.username)
    yield b"x-mcp-user-nickname", encode_text(identity.nickname)
    yield b"x-mcp-user-picture", encode_text(identity.picture)
    yield b"x-mcp-org-id", encode_text(identity.organization_id)
    yield b"x-mcp-roles", encode_list(identity.roles)
    yield b"x-mcp-permissions", encode_list(identity.permissions)
    yield b"x-mcp-scopes", encode_list(identity.scopes)


def _encode_claims(claims: Mapping[str, Any]) -> bytes:
    said = {name: value for name, value in claims.items() if name not in _SECRET_CLAIMS}
    return urlsafe_b64encode(json.dumps(said, separators=(",", ":")).encode()).rstrip(b"=")


def _encode_any(value: object) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str):
        return encode_text(value)
    return encode_text(json.dumps(value, separators=(",", ":")))
