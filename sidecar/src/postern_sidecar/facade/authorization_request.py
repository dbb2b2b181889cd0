"""Is this authorization request in order? This module checks what comes after client and redirect URI, by the RFCs."""

import re
from collections.abc import Mapping

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.facade.artefacts import CONSENT_S, ConsentRequest
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.redirects import ReturnAddress
from postern_sidecar.facade.resources import resolve
from postern_sidecar.facade.scopes import grantable, parse_scopes

__all__ = ["check"]

_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""BASE64URL-ENCODE(SHA256(…)) (RFC 7636 section 4.2)."""


def check(
    parameters: Mapping[str, str], client: Client, *, address: ReturnAddress, config: SidecarConfig, now: float
) -> ConsentRequest:
    """Give what the user is to be asked, for no browser yet. Raises OAuthFault, for the client to hear."""
    _refuse_request_objects(parameters)
    _require_code(parameters)
    _require_grant(client)
    return ConsentRequest(
        client_id=client.id,
        redirect_uri=address.redirect_uri,
        challenge=_challenge(parameters),
        scopes=grantable(parse_scopes(parameters.get("scope")), config),
        resource=resolve(parameters.get("resource"), config),
        expires_at=int(now) + CONSENT_S,
        browser="",
        state=address.state,
    )


def _refuse_request_objects(parameters: Mapping[str, str]) -> None:
    # What they say would go past every check here (RFC 9101; OpenID Connect Core section 3.1.2.6).
    for name in ("request", "request_uri"):
        if name in parameters:
            raise OAuthFault(f"{name}_not_supported", "Request objects are not supported.")


def _require_code(parameters: Mapping[str, str]) -> None:
    response_type = parameters.get("response_type")
    if response_type is None:
        raise OAuthFault("invalid_request", "response_type is missing.")
    if response_type != "code":
        raise OAuthFault("unsupported_response_type", "The only response_type is code.")
    if parameters.get("response_mode", "query") != "query":
        raise OAuthFault("invalid_request", "The only response_mode is query.")


def _require_grant(client: Client) -> None:
    if "authorization_code" not in client.grant_types:
        raise OAuthFault("unauthorized_client", "The client is not registered for authorization codes.")


def _challenge(parameters: Mapping[str, str]) -> str:
    challenge = parameters.get("code_challenge")
    if challenge is None:
        raise OAuthFault("invalid_request", "code_challenge is missing: PKCE is required.")
    # An absent method means plain (RFC 7636 section 4.3), which protects nothing here.
    if parameters.get("code_challenge_method") != "S256":
        raise OAuthFault("invalid_request", "code_challenge_method must be S256.")
    if not _S256_CHALLENGE.fullmatch(challenge):
        raise OAuthFault("invalid_request", "code_challenge is malformed.")
    return challenge
