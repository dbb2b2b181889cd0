"""Policies as the sidecar reads them, for tests that need one."""

from typing import Any

import msgspec

from postern_crds.sidecar_config import (
    SCHEMA_VERSION,
    ClaimTable,
    EndpointsConfig,
    ForwardConfig,
    IssuerConfig,
    LogConfig,
    PolicyRef,
    ProxyConfig,
    RegistrationConfig,
    ResourceConfig,
    ServerConfig,
    SidecarConfig,
    UpstreamConfig,
    VerificationConfig,
    seal,
)

__all__ = ["PROXY", "RESOURCE_URL", "make_config", "make_proxy_config"]

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
    schema_version=SCHEMA_VERSION,
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
        other_issuers=(),
        metadata_urls=("https://sso.example.com/.well-known/oauth-authorization-server",),
        jwks_uri=None,
        endpoints=EndpointsConfig(authorization=None, token=None, userinfo=None, introspection=None, revocation=None),
        private_ca=False,
    ),
    proxy=None,
    verification=VerificationConfig(
        remote=None,
        audiences=(RESOURCE_URL,),
        audience_required=True,
        client_id="",
        algorithms=("RS256", "PS256", "ES256", "EdDSA"),
        leeway_s=30,
        required_scopes=(),
        supported_scopes=(),
    ),
    claims=_CLAIMS,
    forward=ForwardConfig(identity_headers=True, claims=(), access_token="Strip"),
    log=LogConfig(level="info", audit=True),
)

PROXY = ProxyConfig(
    issuer="https://mcp.example.com",
    callback_path="/oauth/callback",
    upstream=UpstreamConfig(
        client_id="postern-client",
        auth_method="client_secret_basic",
        redirect_uri="https://mcp.example.com/oauth/callback",
        openid=True,
        scopes=("openid",),
        scope_prefix="",
        offline_scope="offline_access",
        authorize_params=(),
        sends_resource=False,
        exchange_scope=False,
        userinfo=False,
        userinfo_url=None,
    ),
    registration=RegistrationConfig(dynamic=True, metadata_documents=True, allowed_hosts=(), redirect_uris=()),
    clients=(),
    grant_types=("authorization_code", "refresh_token"),
    token_mode="Sealed",
    access_token_ttl_s=3600,
    consent="Always",
)
"""The proxy part of a policy in mode Proxy for RESOURCE_URL."""


def make_proxy_config(proxy: ProxyConfig = PROXY, **changes: dict[str, Any]) -> SidecarConfig:
    """A sealed policy in mode Proxy; other parts change as in make_config."""
    return seal(msgspec.structs.replace(make_config(**changes), mode="Proxy", proxy=proxy))


def make_config(**changes: dict[str, Any]) -> SidecarConfig:
    """A sealed policy; each change names a part and the members of it that differ: server={"path": "/api"}."""
    parts = {name: msgspec.structs.replace(getattr(_DEFAULT, name), **members) for name, members in changes.items()}
    return seal(msgspec.structs.replace(_DEFAULT, **parts))
