"""The endpoints of the authorization server that clients see in mode Proxy: this module is their names and paths."""

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from postern_crds.sidecar_config import ProxyConfig

__all__ = ["FacadeEndpoint", "endpoint_paths"]


class FacadeEndpoint(StrEnum):
    """An endpoint; the value is the last segment of its path, except for the callback's. Closed: it labels metrics."""

    AUTHORIZE = "authorize"
    CONSENT = "consent"
    CALLBACK = "callback"
    TOKEN = "token"  # noqa: S105 - a name
    REGISTER = "register"
    REVOKE = "revoke"


def endpoint_paths(proxy: ProxyConfig) -> Mapping[bytes, FacadeEndpoint]:
    """Give the public path of each endpoint."""
    prefix = urlsplit(proxy.issuer).path.rstrip("/")
    paths = {
        f"{prefix}/{endpoint}".encode(): endpoint
        for endpoint in FacadeEndpoint
        if endpoint is not FacadeEndpoint.CALLBACK
    }
    return {**paths, proxy.callback_path.encode(): FacadeEndpoint.CALLBACK}
