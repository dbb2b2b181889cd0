"""Where the knowledge about a token comes from: this module is what each such source gives and promises."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from postern_sidecar.outcome import Invalid, Unavailable

__all__ = ["Evidence", "Source"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a good token says."""

    claims: Mapping[str, Any]
    issuer: str
    """Issuer of the identity, for sessions, audit and reports."""
    trusted_until: float
    """Epoch seconds: exp without leeway, and for an answer from afar no longer than answers are trusted."""
    scopes: frozenset[str] | None = None
    """None: those that the claim table finds in the claims."""
    upstream_token: bytes = b""
    """The identity provider's access token for the server; empty: there is none to pass on."""


class Source(Protocol):
    """Verifies one kind of token."""

    @property
    def basis(self) -> object:
        """What verdicts rest upon, such as a set of keys. With another one all former verdicts are void."""

    def unready_reason(self) -> str | None:
        """Why no token can be verified yet; None: it can, as far as can be told."""

    @property
    def last_error(self) -> str | None:
        """Why the latest question to the identity provider got no answer; None: it did, or none is ever asked."""

    async def read(self, token: bytes, now: float) -> Evidence | Invalid | Unavailable:
        """Verify a token; now is in epoch seconds."""
