"""Policy to the file that a sidecar reads: this module is that translation."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from postern_crds.sidecar_config import (
    SCHEMA_VERSION,
    ClaimTable,
    ForwardConfig,
    HeaderClaim,
    IssuerConfig,
    LogConfig,
    PolicyRef,
    ProxyConfig,
    ResourceConfig,
    ServerConfig,
    SidecarConfig,
    seal,
)
from postern_crds.v1alpha1 import Claims, Forward, PolicySpec, Resource, Server
from postern_operator.policy.providers import Issuer, issuer_of
from postern_operator.policy.stored import parse
from postern_operator.policy.upstream import proxy_config
from postern_operator.policy.verification import verification_config, verification_kind

__all__ = ["render"]


def render(policy: dict[str, Any]) -> SidecarConfig:
    """Give the sealed configuration of a policy; defaults of absent fields are filled in.

    ``policy`` is the object as stored or as parsed from YAML, without faults (``stored.problems`` is empty).
    Raises ValueError (msgspec.ValidationError is one) with the place of the fault otherwise.
    """
    stored = parse(policy)
    spec = stored.spec
    issuer = issuer_of(spec)
    return seal(
        SidecarConfig(
            schema_version=SCHEMA_VERSION,
            hash="",
            policy=PolicyRef(stored.namespace, stored.name, stored.uid, stored.generation),
            mode=spec.mode,
            resource=_resource(spec.resource),
            server=_server(spec.server, spec.resource),
            issuer=IssuerConfig(
                provider=issuer.provider,
                issuer=issuer.issuer,
                other_issuers=issuer.other_issuers,
                metadata_urls=issuer.metadata_urls,
                jwks_uri=issuer.jwks_uri,
                endpoints=issuer.endpoints,
                private_ca=spec.ca_bundle is not None,
            ),
            proxy=_proxy(spec, issuer),
            verification=verification_config(spec, issuer),
            claims=_claims(spec.claims, issuer),
            forward=_forward(spec.forward),
            log=LogConfig(level=spec.sidecar.log_level, audit=spec.sidecar.audit),
        )
    )


def _path(url: str) -> str:
    return urlsplit(url).path or "/"


def _resource(resource: Resource) -> ResourceConfig:
    return ResourceConfig(
        url=resource.url,
        metadata_url=_metadata_url(resource.url),
        path=_path(resource.url),
        prefix=resource.prefix,
        name=resource.name,
        documentation=resource.documentation,
    )


def _metadata_url(resource: str) -> str:
    """Insert the well-known part between host and path; a path of '/' alone goes (RFC 9728 section 3.1)."""
    parts = urlsplit(resource)
    path = "" if parts.path == "/" else parts.path
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{path}"


def _server(server: Server, resource: Resource) -> ServerConfig:
    return ServerConfig(
        path=server.path or _path(resource.url),
        public_paths=tuple(server.public_paths),
        host=server.host,
        allowed_hosts=tuple(server.allowed_hosts),
        allowed_origins=tuple(server.allowed_origins),
    )


def _proxy(spec: PolicySpec, issuer: Issuer) -> ProxyConfig | None:
    if spec.proxy is None or issuer.proxy is None:
        return None
    asks_userinfo = verification_kind(spec, issuer) == "Userinfo"
    return proxy_config(spec, spec.proxy, issuer.proxy, asks_userinfo=asks_userinfo)


def _claims(claims: Claims, issuer: Issuer) -> ClaimTable:
    """Give the claim table; a provider's own claims take the place of defaults that the user left."""
    chosen: dict[str, list[str]] = msgspec.structs.asdict(claims)
    defaults: dict[str, list[str]] = msgspec.structs.asdict(Claims())
    table = {
        field: issuer.claims.get(field, tuple(names)) if names == defaults[field] else tuple(names)
        for field, names in chosen.items()
    }
    return ClaimTable(**table)


def _forward(forward: Forward) -> ForwardConfig:
    return ForwardConfig(
        identity_headers=forward.identity_headers,
        claims=tuple(HeaderClaim(claim.claim, claim.header) for claim in forward.claims),
        access_token=forward.access_token,
    )
