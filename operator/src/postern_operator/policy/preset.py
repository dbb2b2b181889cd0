"""What is said of one identity provider: this module is the form of a row of the table.

``{…}`` in a template is a field of the provider's member, or one of: ``resource`` (resource.url), and in mode Proxy
``client_id`` (of proxy.client) and ``callback`` (our redirect URI).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Advice", "AuthMethod", "MetadataForm", "Preset", "ProxyPreset", "Remote", "Values"]

Values = Mapping[str, Any]
"""What templates can be filled with; None counts as absent."""
AuthMethod = Literal["client_secret_basic", "client_secret_post", "none"]
MetadataForm = Literal["oauth-inserted", "oidc-inserted", "oidc-appended"]
"""RFC 8414 section 3.1, the same with OpenID Connect's name (SPEC 19), and OpenID Connect Discovery section 4."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do at the provider; shown in conditions."""

    audience: str
    """So that its tokens are for this resource alone."""
    registration: str
    """So that clients can register by themselves (mode Direct)."""
    issuer: str
    """When its metadata or keys cannot be read."""
    client: str = ""
    """How proxy.client is registered there; empty in mode Direct."""


@dataclass(frozen=True, slots=True)
class Remote:
    """The provider's own way to verify tokens that nobody else can read."""

    kind: Literal["Userinfo", "Tokeninfo", "AppToken"]
    url: str | None = None
    """Template; None: its userinfo endpoint. ``{{client_id}}`` is left for the sidecar."""


@dataclass(frozen=True, slots=True)
class ProxyPreset:
    """What differs, or is needed besides, when we are a client of the provider."""

    audiences: tuple[str, ...] | None = None
    """Templates, all that can be filled; None: as in mode Direct."""
    audience_advice: str | None = None
    """None: as in mode Direct."""
    remote: Remote | None = None
    """None: JWT."""
    names_client: bool = False
    """Whether its JWTs name in client_id the application that they were issued to, and in aud nothing of ours: the
    former binds them then, and aud is only looked at where the policy names audiences."""
    auth_method: AuthMethod = "client_secret_post"
    openid: Literal["always", "asked", "never"] = "always"
    """Whether it gives ID tokens; asked: when scopes.requested does not leave openid out."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """Asked for where scopes.requested is absent."""
    offline_scope: str = "offline_access"
    """Asked for besides, for a refresh token (OpenID Connect Core section 11), where it gives ID tokens."""
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    """Names to templates."""
    offline_params: Mapping[str, str] = field(default_factory=dict)
    """The same, only where refresh tokens are handed out."""
    scope_prefix: tuple[str, ...] = ()
    """Templates, the first that can be filled: what stands before scopes of ours."""
    own_api_scope: tuple[str, ...] = ()
    """The same: asked for when no scope of ours is, where the token would be for another API else."""
    sends_resource: bool = False
    """Whether it takes resource (RFC 8707). Most refuse what they do not know as a resource."""
    exchange_scope: bool = False
    """Whether scope is to be repeated at the token endpoint."""
    userinfo: bool = False
    """Whether its ID tokens lack claims that userinfo has."""
    userinfo_url: str | None = None
    """Template; None: the endpoint."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One row."""

    issuer: tuple[str, ...]
    """Templates, the first that can be filled: the identifier, byte for byte as its metadata states it (SPEC 17)."""
    advice: Advice
    other_issuers: tuple[str, ...] = ()
    """Templates, all that can be filled: further values of iss."""
    metadata: tuple[MetadataForm, ...] = ("oauth-inserted", "oidc-inserted", "oidc-appended")
    """Where to look, in this order. Empty: it has none."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """Templates by the names of EndpointsConfig; what cannot be filled is discovered."""
    complete_with: tuple[str, ...] = ()
    """Fields that make metadata needless in mode Proxy when all are given, and what verification.kind asks
    as well. Empty: there are no such."""
    audiences: tuple[str, ...] = ("{resource}",)
    """Templates, all that can be filled: what its tokens name in aud."""
    names_resource: bool = True
    """Whether those audiences tell this resource from others of the same provider."""
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Claims to look at, by field of the claim table, where the user left the default."""
    derive: Callable[[Values], Values] | None = None
    """Gives further values for the templates."""
    direct: bool = True
    """Whether clients can log in there by themselves, at least those registered by hand."""
    proxy: ProxyPreset | None = None
    """None: it has no mode Proxy."""
