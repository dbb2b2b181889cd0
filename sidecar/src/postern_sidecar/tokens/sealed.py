"""Our own access tokens (tokenMode Sealed): this module is their content and the source that reads them.

They are sealed by the facade of any replica, and read here without asking anybody.
"""

from typing import Any

import msgspec
from msgspec import Struct

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.outcome import Invalid, Reason, Unavailable
from postern_sidecar.sealing import MAX_SEALED_BYTES, Purpose, Seals
from postern_sidecar.tokens.source import Evidence

__all__ = ["AccessTokenContent", "SealedTokens"]


class AccessTokenContent(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is sealed for Purpose.ACCESS_TOKEN, as JSON."""

    iss: str
    """Issuer of the identity: the identity provider's, not ours."""
    sub: str
    client_id: str
    """Of the MCP client: the full one of a configured client or a document, the fingerprint of a sealed one."""
    scope: tuple[str, ...]
    """As the client knows them."""
    aud: str
    """URL of the resource."""
    iat: int
    exp: int
    claims: dict[str, Any] = msgspec.field(default_factory=dict)
    """Of the identity provider, without the protocol's own; bounded by whoever seals."""
    upstream_token: str = ""
    """The identity provider's access token; only with forward.accessToken Upstream."""


class SealedTokens:
    """The source of sealed tokens."""

    def __init__(self, config: SidecarConfig, seals: Seals | None) -> None:
        """Take the policy and the seals of its issuer; None: the key ring is absent, so nobody can tell."""
        self._seals = seals
        self._resource = config.resource.url
        self._issuers = frozenset(
            name.removesuffix("/") for name in (config.issuer.issuer, *config.issuer.other_issuers)
        )
        self._passes_on = config.forward.access_token == "Upstream"  # noqa: S105 - a setting

    @property
    def basis(self) -> object:
        """The key ring."""
        return self._seals

    def unready_reason(self) -> str | None:
        """Whether the key ring is there; the identity provider is not needed for tokens that are out already."""
        return "the key ring (keys.json) is not there yet" if self._seals is None else None

    @property
    def last_error(self) -> str | None:
        """Nobody is asked."""
        return None

    async def read(self, token: bytes, now: float) -> Evidence | Invalid | Unavailable:
        """Open a token; now is in epoch seconds. exp has no leeway: the clocks that set and read it are ours."""
        if self._seals is None:
            return Unavailable(Reason.KEY_RING_UNAVAILABLE)
        content = self._open(self._seals, token)
        if content is None:
            return Invalid(Reason.UNKNOWN_SEAL)
        if content.aud != self._resource:
            return Invalid(Reason.WRONG_AUDIENCE)
        # One trailing slash is forgiven as for the metadata, whose spelling the token has.
        if content.iss.removesuffix("/") not in self._issuers:
            return Invalid(Reason.WRONG_ISSUER)
        if now >= content.exp:
            return Invalid(Reason.EXPIRED)
        return self._evidence(content)

    def _open(self, seals: Seals, token: bytes) -> AccessTokenContent | None:
        if len(token) > MAX_SEALED_BYTES:
            return None
        plain = seals.open(Purpose.ACCESS_TOKEN, token.decode("ascii", "replace"))
        if plain is None:
            return None
        try:
            return msgspec.json.decode(plain, type=AccessTokenContent)
        except msgspec.MsgspecError:
            # Sealed by another release with another shape: the client refreshes or logs in anew.
            return None

    def _evidence(self, content: AccessTokenContent) -> Evidence:
        own = {"iss": content.iss, "sub": content.sub, "client_id": content.client_id, "aud": content.aud}
        dates = {"iat": content.iat, "exp": content.exp, "scope": " ".join(content.scope)}
        return Evidence(
            claims={**content.claims, **own, **dates},
            issuer=content.iss,
            trusted_until=content.exp,
            # Never from the claims: those of the identity provider may tell of scopes that the client did not get.
            scopes=frozenset(content.scope),
            upstream_token=content.upstream_token.encode() if self._passes_on else b"",
        )
