"""What clients are told of us in mode Proxy: this module is our own authorization server metadata (RFC 8414)."""

import msgspec

from postern_crds.sidecar_config import ProxyConfig, SidecarConfig
from postern_sidecar.facade_endpoints import FacadeEndpoint

__all__ = ["facade_metadata"]

_AUTH_METHODS = ["none", "client_secret_post", "client_secret_basic"]


def facade_metadata(config: SidecarConfig, proxy: ProxyConfig) -> bytes:
    """Give the document (RFC 8414 section 2, RFC 9207 section 3). Needs no network."""
    scopes = list(config.verification.supported_scopes)
    if "refresh_token" in proxy.grant_types and "offline_access" not in scopes:
        # Clients ask for it only where it is listed (SPEC 61).
        scopes.append("offline_access")
    document: dict[str, str | bool | list[str]] = {
        "issuer": proxy.issuer,
        "authorization_endpoint": _url(proxy, FacadeEndpoint.AUTHORIZE),
        "token_endpoint": _url(proxy, FacadeEndpoint.TOKEN),
        "revocation_endpoint": _url(proxy, FacadeEndpoint.REVOKE),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(proxy.grant_types),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": _AUTH_METHODS,
        "revocation_endpoint_auth_methods_supported": _AUTH_METHODS,
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": proxy.registration.metadata_documents,
    }
    if proxy.registration.dynamic:
        document["registration_endpoint"] = _url(proxy, FacadeEndpoint.REGISTER)
    if scopes:
        document["scopes_supported"] = scopes
    if config.resource.documentation:
        document["service_documentation"] = config.resource.documentation
    return msgspec.json.encode(document)


def _url(proxy: ProxyConfig, endpoint: FacadeEndpoint) -> str:
    return f"{proxy.issuer}/{endpoint.value}"
