"""Which resource a client means: this module answers that there is one (RFC 8707)."""

import re

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.facade.faults import OAuthFault

__all__ = ["resolve"]

_URL = re.compile(r"([a-z][a-z0-9+.-]*://[^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


def resolve(value: str | None, config: SidecarConfig) -> str:
    """Give our resource's identifier for the resource parameter; None: the client sent none.

    Lenient on upper case in scheme and host, on one trailing slash, and on the bare origin (SPEC 58, 59).
    Raises OAuthFault invalid_target for anything else (RFC 8707 section 2).
    """
    own = config.resource.url
    if value is None or value == own:
        return own
    meant, known = _split(value), _split(own)
    if meant is None or known is None or meant[0] != known[0] or meant[1] not in ("", known[1]):
        raise OAuthFault("invalid_target", "The resource is not the one that is protected here.")
    return own


def _split(url: str) -> tuple[str, str] | None:
    # ASCII alone: lower() makes letters of some other characters.
    match = _URL.fullmatch(url) if url.isascii() else None
    return None if match is None else (match[1].lower(), match[2].removesuffix("/"))
