"""Is it the client it says it is? This module answers at /token and /revoke (RFC 6749 section 2.3)."""

import binascii
import hmac
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeRequest
from postern_sidecar.sealing import Purpose

__all__ = ["authenticate"]


@dataclass(frozen=True, slots=True)
class _Credentials:
    client_id: str
    secret: str | None
    """None: a public client."""
    by_basic: bool


async def authenticate(request: FacadeRequest, form: Mapping[str, str], context: Context) -> Client:
    """Give the client that sends the form.

    Raises OAuthFault: invalid_client (401, with a challenge when Basic was tried) when it is unknown, has no such
    secret, or is none that has one; invalid_request when it uses two methods; temporarily_unavailable when its document
    cannot be fetched for now.
    """
    credentials = _read(request, form)
    try:
        client = await context.clients.find(credentials.client_id, request.now)
    except OAuthFault as fault:
        if fault.error == "invalid_client":
            raise _refusal(fault.description, credentials, fault.detail) from fault
        raise
    if not _is_proven(client, credentials, context):
        raise _refusal("The client could not be authenticated.", credentials)
    return client


def _read(request: FacadeRequest, form: Mapping[str, str]) -> _Credentials:
    if "client_assertion" in form or "client_assertion_type" in form:
        raise OAuthFault("invalid_client", "Client assertions are not accepted here.")
    headers = request.values(b"authorization")
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if not headers:
        if client_id is None:
            raise OAuthFault("invalid_client", "client_id is missing.")
        return _Credentials(client_id, secret, by_basic=False)
    if len(headers) > 1 or secret is not None:
        raise OAuthFault("invalid_request", "More than one method of client authentication is used.")
    credentials = _read_basic(headers[0])
    if client_id not in (None, credentials.client_id):
        raise OAuthFault("invalid_request", "The header and the form name different clients.")
    return credentials


def _read_basic(header: bytes) -> _Credentials:
    """Read Basic. Both parts are form-encoded (RFC 6749 section 2.3.1); ours are the same with and without."""
    scheme, _, encoded = header.partition(b" ")
    try:
        name, colon, password = b64decode(encoded.strip(b" "), validate=True).decode().partition(":")
        client_id, secret = (unquote_plus(part, errors="strict") for part in (name, password))
    except (ValueError, binascii.Error):
        client_id = colon = secret = ""
    if scheme.lower() != b"basic" or not client_id or not colon:
        text = "The Authorization header is no valid Basic authentication."
        raise OAuthFault("invalid_client", text, challenges_basic=True)
    # An empty password is none (RFC 6749 section 2.3.1): public clients of some libraries send one.
    return _Credentials(client_id, secret or None, by_basic=True)


def _is_proven(client: Client, credentials: _Credentials, context: Context) -> bool:
    """Whether the client shows what it must. A secret may come in either way: it proves the same."""
    if client.auth_method == "none":
        return credentials.secret is None
    expected = context.seals.mac(Purpose.REGISTRATION, client.id)
    if expected is None or credentials.secret is None:
        return False
    return hmac.compare_digest(credentials.secret.encode(), expected.encode())


def _refusal(description: str, credentials: _Credentials, detail: str = "") -> OAuthFault:
    return OAuthFault("invalid_client", description, detail=detail, challenges_basic=credentials.by_basic)
