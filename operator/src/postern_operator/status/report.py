"""What a sidecar says of itself on its health port, checked: this module is the border to /status."""

from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["IssuerReport", "Report", "read"]

_MAX_TEXT = 300
"""Characters kept of an error text that comes from the outside."""


class _Model(Struct, frozen=True, rename="camel"):
    """Common settings; unknown members are another release's and left alone."""


class IssuerReport(_Model, frozen=True):
    """The identity provider as this sidecar sees it."""

    issuer: str
    reachable: bool = False
    jwks_keys: int = 0
    last_success: str | None = None
    """RFC 3339."""
    last_error: str | None = None
    registration: bool = False
    metadata_documents: bool = False
    iss_parameter: bool = False
    pkce: bool = False
    client: str | None = None
    """What we can do there as a client (mode Proxy): none, ready, secret_missing, secret_rejected, keys_missing; None:
    not told."""

    def is_usable(self, *, needs_keys: bool) -> bool:
        """Tell whether tokens can be verified with it; ``needs_keys``: with its signing keys."""
        return self.reachable and (self.jwks_keys > 0 or not needs_keys)

    @property
    def error(self) -> str:
        """The latest error on one line; empty: none."""
        return " ".join((self.last_error or "").split())[:_MAX_TEXT]


class Report(_Model, frozen=True):
    """One sidecar."""

    config_hash: str | None = None
    """None: it has no valid configuration."""
    degraded: str | None = None
    """Why it does not take over the newest configuration."""
    issuer: IssuerReport | None = None


def read(value: dict[str, Any] | None) -> Report | None:
    """Give the report of an answer; None when there is none, or it is not what a sidecar says."""
    try:
        return None if value is None else msgspec.convert(value, Report)
    except msgspec.ValidationError:
        return None
