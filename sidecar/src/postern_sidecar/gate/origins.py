"""May this web page call us? This module checks Origin (SPEC 66)."""

import re
from urllib.parse import urlsplit

from postern_crds.sidecar_config import SidecarConfig

__all__ = ["Origins"]

_LOOPBACK = re.compile(rb"https?://(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?")


class Origins:
    """The accepted values of Origin for one policy."""

    def __init__(self, config: SidecarConfig) -> None:
        url = urlsplit(config.resource.url)
        own = f"{url.scheme}://{url.netloc}".lower()
        self._allowed = frozenset(_plain(origin.encode()) for origin in (own, *config.server.allowed_origins))

    def is_allowed(self, values: list[bytes]) -> bool:
        """Judge all Origin headers of a request. None is fine: no browser sent it. 'null' and several never are."""
        if not values:
            return True
        return len(values) == 1 and (
            _plain(values[0]) in self._allowed or _LOOPBACK.fullmatch(values[0].lower()) is not None
        )


def _plain(origin: bytes) -> bytes:
    """Give an origin in lower case and without a default port, as browsers write it (RFC 6454 section 6.2)."""
    lower = origin.lower()
    for scheme, port in ((b"https://", b":443"), (b"http://", b":80")):
        if lower.startswith(scheme):
            return lower.removesuffix(port)
    return lower
