"""Is this path an endpoint of ours? This module finds it, so that the server behind never answers in its place."""

from urllib.parse import unquote_to_bytes

from postern_crds.sidecar_config import ProxyConfig
from postern_sidecar.facade_endpoints import FacadeEndpoint, endpoint_paths
from postern_sidecar.outcome import Reason

__all__ = ["FacadePaths"]


class FacadePaths:
    """The endpoints of one policy; none in mode Direct."""

    def __init__(self, proxy: ProxyConfig | None) -> None:
        self._paths = {} if proxy is None else endpoint_paths(proxy)
        self._ours = frozenset(path.lower() for path in self._paths)

    def find(self, raw_path: bytes) -> FacadeEndpoint | Reason | None:
        """Give the endpoint of an unambiguous path, NOT_FOUND for another spelling of one, None when it is not ours.

        Servers decode, and some ignore case and trailing slashes; but an issuer has one name for each endpoint.
        """
        found = self._paths.get(raw_path)
        if found is not None or not self._paths:
            return found
        plain = unquote_to_bytes(raw_path).lower()
        return Reason.NOT_FOUND if plain in self._ours or plain.removesuffix(b"/") in self._ours else None
