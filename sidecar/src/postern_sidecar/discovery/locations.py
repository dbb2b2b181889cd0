"""Which paths are discovery's: this module knows them all, so that the server behind never answers in our place."""

from enum import StrEnum
from urllib.parse import unquote_to_bytes

from postern_crds.sidecar_config import ResourceConfig

__all__ = ["Location", "Locations"]

_RESOURCE = "/.well-known/oauth-protected-resource"
_SERVER = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
_OURS = ("/.well-known/oauth-", "/.well-known/openid-configuration")


class Location(StrEnum):
    """What a path of ours leads to."""

    RESOURCE_METADATA = "resource_metadata"
    SERVER_METADATA = "server_metadata"
    NOTHING = "nothing"
    """Ours, but there is no document; a server's own one would contradict ours."""


class Locations:
    """The discovery paths of one resource: at the root, path-inserted, and under its prefix (SPEC 14, 19, 21)."""

    def __init__(self, resource: ResourceConfig) -> None:
        path, prefix = resource.path.rstrip("/"), resource.prefix
        rest = path.removeprefix(prefix)
        places = {("", ""), ("", path)}
        if prefix:
            # An Ingress that routes only the prefix here hides the root; 'rest' is the path without the prefix.
            places |= {(prefix, ""), (prefix, path), (prefix, rest)}
        self._found: dict[bytes, Location] = {}
        for before, after in places:
            self._found[f"{before}{_RESOURCE}{after}".encode()] = Location.RESOURCE_METADATA
        # ("", prefix): inserted for an issuer whose path is the prefix, as in mode Proxy (RFC 8414 section 3.1).
        for before, after in places | {("", prefix)}:
            for name in _SERVER:
                self._found[f"{before}{name}{after}".encode()] = Location.SERVER_METADATA
        self._ours = tuple((before + start).lower().encode() for before in {"", prefix} for start in _OURS)

    def find(self, raw_path: bytes) -> Location | None:
        """Give what an unambiguous path leads to; None: it is not ours. One trailing slash makes no difference."""
        found = self._found.get(raw_path.removesuffix(b"/"))
        if found is not None:
            return found
        # Servers decode, and some ignore case: another spelling of a path of ours is ours too.
        if unquote_to_bytes(raw_path).lower().startswith(self._ours):
            return Location.NOTHING
        return None
