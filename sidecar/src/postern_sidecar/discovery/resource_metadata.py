"""What clients are told of the resource: this module is the protected resource metadata (RFC 9728)."""

import msgspec

from postern_crds.sidecar_config import SidecarConfig

__all__ = ["resource_metadata"]


def resource_metadata(config: SidecarConfig, issuer: str) -> bytes:
    """Give the document (RFC 9728 section 2). issuer is the name of the authorization server, byte for byte (SPEC 17).

    Members without elements are left out (RFC 9728 section 3.2). Needs no network.
    """
    resource = config.resource
    document: dict[str, str | list[str]] = {
        "resource": resource.url,
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
    }
    if config.verification.supported_scopes:
        document["scopes_supported"] = list(config.verification.supported_scopes)
    if resource.name:
        document["resource_name"] = resource.name
    if resource.documentation:
        document["resource_documentation"] = resource.documentation
    return msgspec.json.encode(document)
