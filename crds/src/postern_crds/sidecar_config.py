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
    "ForwardConfig",
    "HeaderClaim",
    "IssuerConfig",
    "LogConfig",
    "PolicyRef",
    "ResourceConfig",
    "ServerConfig",
    "SidecarConfig",
    "VerificationConfig",
    "config_hash",
    "decode",
    "encode",
    "seal",
]

SCHEMA_VERSION = 1


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


class IssuerConfig(_Model, frozen=True):
    """The authorization server that clients are sent to (mode Direct)."""

    provider: str
    """Preset, for logs and advice."""
    issuer: str
    metadata_urls: tuple[str, ...]
    """Where its metadata may be, in the order to try (RFC 8414 inserted, OIDC inserted, OIDC appended)."""
    jwks_uri: str | None
    """None: from the metadata."""
    private_ca: bool
    """Whether ca.crt must be present beside this file; while it is not, verification is unavailable."""


class VerificationConfig(_Model, frozen=True):
    """How a token is verified."""

    audiences: tuple[str, ...]
    """aud must name one of them; empty only with audience_required false."""
    audience_required: bool
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
    mode: Literal["Direct"]
    resource: ResourceConfig
    server: ServerConfig
    issuer: IssuerConfig
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
    if config.hash != config_hash(config):
        raise msgspec.ValidationError("the hash does not fit the content: the file is torn or was edited - at `$.hash`")
    return config
