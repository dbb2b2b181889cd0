"""POST /register: this module makes a client of whoever asks (RFC 7591), and stores nothing of it.

The client_id is the registration itself, sealed; a client_secret, for those that want one, belongs to it by a MAC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any
from unicodedata import category

import msgspec
from msgspec import Meta, Struct

from postern_crds.sidecar_config import RegistrationConfig, SidecarConfig
from postern_sidecar.facade.artefacts import Registration, seal_as
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest, json_answer, json_fault
from postern_sidecar.facade.redirect_uris import refusal
from postern_sidecar.sealing import Purpose
from postern_sidecar.strict_json import read_object

__all__ = ["MAX_CLIENT_ID", "register"]

MAX_CLIENT_ID = 2000
"""Characters. The client_id travels in URLs, which browsers, proxies and servers cut off or refuse beyond some 4 KB."""
MAX_REDIRECT_URIS = 20

_Text = Annotated[str, Meta(max_length=2048)]
_Texts = Annotated[list[_Text], Meta(max_length=32)]


class _Metadata(Struct, frozen=True):
    """Client metadata (RFC 7591 section 2) that counts or is repeated; the rest is ignored, as null and "" are."""

    redirect_uris: Annotated[list[str], Meta(max_length=MAX_REDIRECT_URIS)] | None = None
    token_endpoint_auth_method: _Text | None = None
    grant_types: _Texts | None = None
    response_types: _Texts | None = None
    client_name: Annotated[str, Meta(max_length=200)] | None = None
    client_uri: _Text | None = None
    logo_uri: _Text | None = None
    scope: _Text | None = None
    contacts: _Texts | None = None
    tos_uri: _Text | None = None
    policy_uri: _Text | None = None
    software_id: _Text | None = None
    software_version: _Text | None = None
    application_type: _Text | None = None


_REPEATED = (
    "client_name",
    "client_uri",
    "logo_uri",
    "contacts",
    "tos_uri",
    "policy_uri",
    "software_id",
    "software_version",
    "application_type",
)
_SECRET_METHODS = ("client_secret_post", "client_secret_basic")


async def register(request: FacadeRequest, context: Context) -> FacadeAnswer:
    """Give 201 with the client's information (RFC 7591 section 3.2.1), or the error (section 3.2.2)."""
    if request.method != "POST":
        refused = json_fault(OAuthFault("method_not_allowed", "Only POST is allowed here."))
        return replace(refused, headers=(*refused.headers, (b"allow", b"POST, OPTIONS")))
    try:
        return _register(request, context)
    except OAuthFault as fault:
        return json_fault(fault)


def _register(request: FacadeRequest, context: Context) -> FacadeAnswer:
    if not context.proxy.registration.dynamic:
        raise OAuthFault("not_found", "Clients cannot register here.")
    metadata = _read(request)
    registration = Registration(
        redirect_uris=_allowed_redirect_uris(metadata.redirect_uris or (), context.proxy.registration),
        auth_method=_auth_method(metadata),
        issued_at=int(request.now),
        name=_name(metadata),
        grant_types=_grant_types(metadata, context.proxy.grant_types),
    )
    client_id = seal_as(context.seals, registration, request.now)
    if len(client_id) > MAX_CLIENT_ID:
        raise OAuthFault("invalid_client_metadata", "The redirect URIs and the name are too long together.")
    information = {
        "client_id": client_id,
        **_secret(client_id, registration, context),
        **_information(registration),
        **_echo(metadata, context.config),
    }
    return replace(json_answer(201, information, event="registered"), client_id=client_id)


def _read(request: FacadeRequest) -> _Metadata:
    if request.content_type() != b"application/json":
        raise OAuthFault("invalid_client_metadata", "The body must be application/json.")
    try:
        return msgspec.convert(read_object(request.body), _Metadata)
    except msgspec.ValidationError as error:
        # Its path is of our own member names, its text of types and lengths.
        fault = str(error).replace("`", "")
        raise OAuthFault("invalid_client_metadata", f"The client metadata has a fault: {fault}.") from error
    except ValueError as error:
        raise OAuthFault("invalid_client_metadata", "The body must be one JSON object without duplicates.") from error


def _allowed_redirect_uris(uris: Sequence[str], rules: RegistrationConfig) -> tuple[str, ...]:
    """Give those that are allowed: one that is not must not lock out a client that has others (SPEC 3.5)."""
    if not uris:
        raise OAuthFault("invalid_redirect_uri", "redirect_uris must name at least one redirect URI.")
    reasons = {uri: refusal(uri, rules) for uri in uris}
    allowed = tuple(uri for uri, reason in reasons.items() if reason is None)
    if not allowed:
        reason = next(iter(reasons.values()))
        raise OAuthFault("invalid_redirect_uri", f"No redirect URI is allowed; the first {reason}.")
    return allowed


def _auth_method(metadata: _Metadata) -> str:
    # Who names none is public, whatever section 2 of the RFC presumes: such clients look for a method in the answer.
    method = metadata.token_endpoint_auth_method or "none"
    if method not in ("none", *_SECRET_METHODS):
        text = "token_endpoint_auth_method must be none, client_secret_post or client_secret_basic."
        raise OAuthFault("invalid_client_metadata", text)
    return method


def _name(metadata: _Metadata) -> str:
    name = (metadata.client_name or "").strip()
    if any(category(character) in ("Cc", "Cs") for character in name):
        raise OAuthFault("invalid_client_metadata", "client_name has control characters.")
    return name


def _grant_types(metadata: _Metadata, ours: Sequence[str]) -> tuple[str, ...]:
    """Give what we offer of what is asked for. Not asked for anything: all, so that no login ends within the hour."""
    asked = metadata.grant_types or ours
    if "authorization_code" not in asked or "code" not in (metadata.response_types or ("code",)):
        raise OAuthFault("invalid_client_metadata", "Only clients of the grant authorization_code can register.")
    return tuple(kind for kind in ours if kind in asked)


def _secret(client_id: str, registration: Registration, context: Context) -> Mapping[str, object]:
    if registration.auth_method not in _SECRET_METHODS:
        return {}
    return {
        "client_secret": context.seals.mac(Purpose.REGISTRATION, client_id),
        # It never does (RFC 7591 section 3.2.1).
        "client_secret_expires_at": 0,
    }


def _information(registration: Registration) -> Mapping[str, object]:
    return {
        "client_id_issued_at": registration.issued_at,
        "redirect_uris": registration.redirect_uris,
        "token_endpoint_auth_method": registration.auth_method,
        "grant_types": registration.grant_types,
        "response_types": ["code"],
    }


def _echo(metadata: _Metadata, config: SidecarConfig) -> dict[str, Any]:
    """Give the metadata that is repeated. Empty ones are left out: readers take "" for a broken URL.

    scope is no promise: what a token gets is decided at each login. Some clients ask for what stands here alone, so
    without one of their own they get all there is.
    """
    repeated = {name: value for name in _REPEATED if (value := getattr(metadata, name))}
    scope = metadata.scope or " ".join(config.verification.supported_scopes)
    return {**repeated, "scope": scope} if scope else repeated
