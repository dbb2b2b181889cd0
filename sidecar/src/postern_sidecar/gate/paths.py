"""What does a path mean? This module refuses those that two programs could read differently, and maps the others."""

import re
from urllib.parse import unquote_to_bytes

from postern_crds.sidecar_config import SidecarConfig

__all__ = ["Paths", "is_ambiguous"]

_RAW = re.compile(rb"/[!-~]*")
"""Printable ASCII only (RFC 3986 section 3.3)."""
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HIDDEN = re.compile(rb"%(?:2f|5c|[01][0-9a-f]|7f)", re.IGNORECASE)
"""A slash, a backslash or a control character that only shows after decoding."""
_ODD = re.compile(rb"//|\\|/\.{1,2}(?:;[^/]*)?(?:/|\Z)")
"""An empty segment, a backslash, '.' or '..', also with parameters, which some servers cut off before they resolve."""


def is_ambiguous(raw_path: bytes) -> bool:
    """Whether a path could lead a server elsewhere than it seems.

    Refused are: no leading slash, empty segments, dot segments, backslashes, control and non-ASCII characters; encoded
    ones too, and doubly encoded ones, since some servers decode twice; and what is not UTF-8, for lax decoders read a
    dot or a slash in overlong forms (RFC 3629 section 10). One trailing slash is none of these.
    """
    if _RAW.fullmatch(raw_path) is None or b"#" in raw_path or b"?" in raw_path:
        return True
    if b"%" not in raw_path:
        return _ODD.search(raw_path) is not None
    if _BAD_ESCAPE.search(raw_path) or _HIDDEN.search(raw_path):
        return True
    decoded = unquote_to_bytes(raw_path)
    return (
        not _is_utf8(decoded)
        or not _is_utf8(unquote_to_bytes(decoded))
        or _HIDDEN.search(decoded) is not None
        or _ODD.search(raw_path) is not None
        or _ODD.search(decoded) is not None
        or _ODD.search(unquote_to_bytes(decoded)) is not None
    )


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


class Paths:
    """The paths of one policy."""

    def __init__(self, config: SidecarConfig) -> None:
        self._resource = config.resource.path.encode()
        self._server = config.server.path.encode()
        self._endpoints = frozenset(path.removesuffix(b"/") for path in (self._resource, self._server))
        self._exact = frozenset(path.encode() for path in config.server.public_paths if not path.endswith("/*"))
        self._prefixes = tuple(path[:-1].encode() for path in config.server.public_paths if path.endswith("/*"))

    def is_public(self, raw_path: bytes) -> bool:
        """Whether an unambiguous path needs no token. The MCP endpoint always does, whatever the policy says."""
        if unquote_to_bytes(raw_path).removesuffix(b"/") in self._endpoints:
            return False
        return raw_path in self._exact or raw_path.startswith(self._prefixes)

    def target(self, raw_path: bytes) -> bytes:
        """Give the path on the server: that of the MCP endpoint is mapped, an added trailing slash stays added."""
        if raw_path == self._resource:
            return self._server
        if raw_path == self._resource + b"/":
            return self._server.removesuffix(b"/") + b"/"
        return raw_path
