"""Policies as the sidecar reads them, for tests that need one."""

from typing import Any

import msgspec

from postern_crds.sidecar_config import (
    ClaimTable,
    ForwardConfig,
    IssuerConfig,
    LogConfig,
    PolicyRef,
    ResourceConfig,
    ServerConfig,
    SidecarConfig,
    VerificationConfig,
    seal,
)

__all__ = ["RESOURCE_URL", "make_config"]

RESOURCE_URL = "https://mcp.example.com/mcp"

_CLAIMS = ClaimTable(
    user_id=("sub", "user_id", "id"),
    email=("email",),
    name=("name",),
    username=("username", "preferred_username"),
    nickname=("nickname",),
    picture=("picture", "avatar_url"),
    roles=("roles",),
    permissions=("permissions",),
    organization_id=("organization_id", "org_id"),
    scopes=("scope", "scp"),
)

_DEFAULT = SidecarConfig(
    schema_version=1,
    hash="",
    policy=PolicyRef(namespace="team-a", name="weather"),
    mode="Direct",
    resource=ResourceConfig(
        url=RESOURCE_URL,
        metadata_url="https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
        path="/mcp",
        prefix="",
        name="",
        documentation="",
    ),
    server=ServerConfig(path="/mcp", public_paths=(), host=None, allowed_hosts=(), allowed_origins=()),
    issuer=IssuerConfig(
        provider="custom",
        issuer="https://sso.example.com",
        metadata_urls=("https://sso.example.com/.well-known/oauth-authorization-server",),
        jwks_uri=None,
        private_ca=False,
    ),
    verification=VerificationConfig(
        audiences=(RESOURCE_URL,),
        audience_required=True,
        algorithms=("RS256", "PS256", "ES256", "EdDSA"),
        leeway_s=30,
        required_scopes=(),
        supported_scopes=(),
    ),
    claims=_CLAIMS,
    forward=ForwardConfig(identity_headers=True, claims=()),
    log=LogConfig(level="info", audit=True),
)


def make_config(**changes: dict[str, Any]) -> SidecarConfig:
    """A sealed policy; each change names a part and the members of it that differ: server={"path": "/api"}."""
    parts = {name: msgspec.structs.replace(getattr(_DEFAULT, name), **members) for name, members in changes.items()}
    return seal(msgspec.structs.replace(_DEFAULT, **parts))
