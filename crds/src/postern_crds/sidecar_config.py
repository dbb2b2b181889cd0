"""The file the sidecar reads (``policy.json``): the rendered policy, versioned.

The operator writes it, the sidecar reads it, and nothing else connects the two. Everything in it is decided: no default
depends on the reader. A reader refuses a ``schemaVersion`` above its own and any unknown member.
"""

import hashlib
from typing import Literal

import msgspec
from msgspec import Struct

__all__ = [
    "SCHEMA_VERSION",
    "ClaimTable",
    "ClientConfig",
    "EndpointsConfig",
    "ForwardConfig",
    "HeaderClaim",
    "IssuerConfig",
    "LogConfig",
    "Parameter",
    "PolicyRef",
    "ProxyConfig",
    "RegistrationConfig",
    "RemoteVerification",
    "ResourceConfig",
    "ServerConfig",
    "SidecarConfig",
    "UpstreamConfig",
    "VerificationConfig",
    "config_hash",
    "decode",
    "encode",
    "seal",
]

SCHEMA_VERSION = 2


class _Model(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Common settings: immutable, nothing unknown, camelCase on the wire."""


class PolicyRef(_Model, frozen=True):
    """Which policy this is, for logs and status. Outside a cluster uid is empty and generation 0."""

    namespace: str
    name: str
    uid: str = ""
    generation: int = 0


class ResourceConfig(_Model, frozen=True):
    """The resource as clients know it; all URLs are final."""

    url: str
    """Identifier, byte for byte as in the policy."""
    metadata_url: str
    """Where the protected resource metadata is (RFC 9728 section 3.1), path-inserted."""
    path: str
    """Public path of the MCP endpoint, '/' at least."""
    prefix: str
    """Path prefix owned on the host; empty: the whole host."""
    name: str
    documentation: str


class ServerConfig(_Model, frozen=True):
    """The server behind the sidecar."""

    path: str
    """Path at which the server serves MCP; requests for ResourceConfig.path are sent there."""
    public_paths: tuple[str, ...]
    """Exact paths, or prefixes ending in '/*', forwarded without a token."""
    host: str | None
    """Host header for the server; None: localhost:<port of the upstream address>."""
    allowed_hosts: tuple[str, ...]
    """Further accepted Host values; '*' accepts all."""
    allowed_origins: tuple[str, ...]


class EndpointsConfig(_Model, frozen=True):
    """Locations at the identity provider; None: from its metadata."""

    authorization: str | None
    token: str | None
    userinfo: str | None
    introspection: str | None
    """RFC 7662."""
    revocation: str | None
    """RFC 7009."""


class IssuerConfig(_Model, frozen=True):
    """The identity provider: clients are sent to it (mode Direct), or we are its client (mode Proxy)."""

    provider: str
    """Preset, for logs and advice."""
    issuer: str
    other_issuers: tuple[str, ...]
    """Further values of iss that are this issuer's as well, byte for byte (Entra's tokens of version 1)."""
    metadata_urls: tuple[str, ...]
    """Where its metadata may be, in the order to try (RFC 8414 inserted, OIDC inserted, OIDC appended). Empty: it has
    none, and the endpoints that it has are all named here."""
    jwks_uri: str | None
    """None: from the metadata."""
    endpoints: EndpointsConfig
    private_ca: bool
    """Whether ca.crt must be present beside this file; while it is not, verification is unavailable."""


class RemoteVerification(_Model, frozen=True):
    """How a token that only the identity provider can read is verified."""

    kind: Literal["Introspection", "Userinfo", "Tokeninfo", "AppToken"]
    """Introspection: RFC 7662, bound by aud or client_id. Userinfo: OpenID Connect Core section 5.3, bound to nobody.
    Tokeninfo: Google's, bound by aud to our client. AppToken: GitHub's check of a token of our application."""
    url: str | None
    """Where to ask. None: IssuerConfig.endpoints, then the metadata. ``{client_id}`` in it is our client id."""
    client_id: str
    """With what we authenticate there and what the token must be for; empty: Userinfo needs none."""
    secret_file: str
    """File beside this one with the client's secret; empty: none is sent."""
    auth_method: Literal["client_secret_basic", "client_secret_post", "none"]
    cache_s: int
    """How long an answer is trusted, never beyond the token's exp."""


class VerificationConfig(_Model, frozen=True):
    """How an access token of the identity provider is verified."""

    remote: RemoteVerification | None
    """None: it is a JWT and verified here."""
    audiences: tuple[str, ...]
    """aud must name one of them; empty only with audience_required false."""
    audience_required: bool
    client_id: str
    """The token's client_id (RFC 9068 section 2.2), else azp, must be this; of JWTs alone. Empty: not looked at."""
    algorithms: tuple[str, ...]
    leeway_s: int
    required_scopes: tuple[str, ...]
    supported_scopes: tuple[str, ...]
    """Advertised and challenged; contains the required ones."""


class ClaimTable(_Model, frozen=True):
    """For each field the claims to look at, in order."""

    user_id: tuple[str, ...]
    email: tuple[str, ...]
    name: tuple[str, ...]
    username: tuple[str, ...]
    nickname: tuple[str, ...]
    picture: tuple[str, ...]
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    organization_id: tuple[str, ...]
    scopes: tuple[str, ...]


class HeaderClaim(_Model, frozen=True):
    """A further claim that is forwarded."""

    claim: str
    header: str


class ForwardConfig(_Model, frozen=True):
    """What the server learns of the caller."""

    identity_headers: bool
    claims: tuple[HeaderClaim, ...]
    access_token: Literal["Strip", "Upstream", "AsReceived"]
    """What the server gets as Authorization. Upstream: the identity provider's access token (mode Proxy)."""


class Parameter(_Model, frozen=True):
    """A parameter of a request."""

    name: str
    value: str


class UpstreamConfig(_Model, frozen=True):
    """Ourselves as a client of the identity provider (mode Proxy)."""

    client_id: str
    auth_method: Literal["client_secret_basic", "client_secret_post", "none"]
    """With a method that needs one, the secret is in the file ``client-secret`` beside this one; while that is absent,
    logins are unavailable."""
    redirect_uri: str
    """Our callback, as it must be entered at the identity provider."""
    openid: bool
    """Whether the exchange must give an ID token, which is then validated."""
    scopes: tuple[str, ...]
    """Asked for at each login, besides those that the client asks for."""
    scope_prefix: str
    """Put before each scope of ours on the way out, removed on the way in; not for those of OpenID Connect and full URIs
    (Entra). Empty: none."""
    offline_scope: str
    """Asked for in addition when refresh tokens are handed out, such as offline_access; empty: none is needed."""
    authorize_params: tuple[Parameter, ...]
    sends_resource: bool
    """Whether it understands resource (RFC 8707); many refuse it."""
    exchange_scope: bool
    """Whether scope is repeated at the token endpoint."""
    userinfo: bool
    """Whether the claims of userinfo are added to a token's at the exchange."""
    userinfo_url: str | None
    """None: IssuerConfig.endpoints, then the metadata."""


class RegistrationConfig(_Model, frozen=True):
    """Who may become a client (mode Proxy)."""

    dynamic: bool
    """RFC 7591."""
    metadata_documents: bool
    """Client ID metadata documents: the client_id is a URL."""
    allowed_hosts: tuple[str, ...]
    """Hosts of redirect URIs that are not loopback; '*.example.com' means every host below. Empty: all."""
    redirect_uris: tuple[str, ...]
    """Exact redirect URIs that any client may register besides."""


class ClientConfig(_Model, frozen=True):
    """A public client that is registered in the policy."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]


class ProxyConfig(_Model, frozen=True):
    """Postern as the authorization server that clients see (mode Proxy)."""

    issuer: str
    """Our name: origin and prefix of the resource, no slash at the end. Endpoints are ``<issuer>/authorize``, ``/consent``,
    ``/token``, ``/register``, ``/revoke``."""
    callback_path: str
    """Public path of our redirect URI, prefix included."""
    upstream: UpstreamConfig
    registration: RegistrationConfig
    clients: tuple[ClientConfig, ...]
    grant_types: tuple[Literal["authorization_code", "refresh_token"], ...]
    token_mode: Literal["Sealed", "Passthrough"]
    access_token_ttl_s: int
    consent: Literal["Always", "Remember"]


class LogConfig(_Model, frozen=True):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"]
    audit: bool


class SidecarConfig(_Model, frozen=True):
    """The whole of ``policy.json``."""

    schema_version: int
    hash: str
    """config_hash() of the rest; reported by the sidecar as proof of what it enforces."""
    policy: PolicyRef
    mode: Literal["Direct", "Proxy"]
    resource: ResourceConfig
    server: ServerConfig
    issuer: IssuerConfig
    proxy: ProxyConfig | None
    """None in mode Direct."""
    verification: VerificationConfig
    claims: ClaimTable
    forward: ForwardConfig
    log: LogConfig


class _Version(Struct, rename="camel"):
    schema_version: int


def config_hash(config: SidecarConfig) -> str:
    """Give the hex SHA-256 (first 16 digits) over everything but the hash itself and the policy's generation.

    The generation is left out: an edit that changes nothing for the sidecar (its resources, say) must not look like a
    pending configuration.
    """
    policy = msgspec.structs.replace(config.policy, generation=0)
    plain = msgspec.structs.replace(config, hash="", policy=policy)
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()[:16]


def seal(config: SidecarConfig) -> SidecarConfig:
    """Give the config with its own hash filled in."""
    return msgspec.structs.replace(config, hash=config_hash(config))


def encode(config: SidecarConfig) -> str:
    """Give the text of ``policy.json``: indented, deterministic, newline at the end."""
    return msgspec.json.format(msgspec.json.encode(config, order="deterministic"), indent=2).decode() + "\n"


def decode(text: bytes) -> SidecarConfig:
    """Read ``policy.json``.

    Raises msgspec.ValidationError or msgspec.DecodeError (both ValueError) with the path of the fault: not JSON, a newer
    schema version, an unknown member, a wrong type, a hash that does not fit the content (a torn or edited file).
    """
    version = msgspec.json.decode(text, type=_Version).schema_version
    if version != SCHEMA_VERSION:
        raise msgspec.ValidationError(
            f"schemaVersion {version} is not the version {SCHEMA_VERSION} that this sidecar reads: use a sidecar image of the "
            "operator's release - at `$.schemaVersion`"
        )
    config = msgspec.json.decode(text, type=SidecarConfig)
    if (config.mode == "Proxy") != (config.proxy is not None):
        raise msgspec.ValidationError("must be there in mode Proxy and null otherwise - at `$.proxy`")
    if config.hash != config_hash(config):
        raise msgspec.ValidationError("the hash does not fit the content: the file is torn or was edited - at `$.hash`")
    return config
