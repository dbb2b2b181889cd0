"""Who logged in? This module validates the identity provider's ID tokens (OpenID Connect Core section 3.1.3.7)."""

import hmac
from collections.abc import Mapping
from typing import Any

from joserfc.util import urlsafe_b64decode

from postern_sidecar.errors import IdpError
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.outcome import Reason
from postern_sidecar.strict_json import read_object
from postern_sidecar.tokens.jwks import Jwks
from postern_sidecar.tokens.jwt import Header, read_header, verify_signature
from postern_sidecar.tokens.registered import Expected, check_claims
from postern_sidecar.tokens.signed import issuer_names

__all__ = ["read_id_token"]

_OWN_CLAIMS = frozenset(("nonce", "at_hash", "c_hash", "s_hash", "typ", "token_use"))
"""By these an access token is told from an ID token; here they are in their place."""


async def read_id_token(token: str, context: Context, *, nonce: str | None, now: float) -> Mapping[str, Any]:
    """Give the claims of an ID token that is good and for us.

    nonce: of the login; None: a refresh, whose ID token should have none (OpenID Connect Core section 12.2), so that
    it is not looked at. Raises OAuthFault: temporarily_unavailable when the keys cannot be had, invalid_grant when
    the code is of another login, server_error for every other fault.
    """
    raw = token.encode()
    header = read_header(raw, frozenset(context.config.verification.algorithms))
    if isinstance(header, Reason):
        raise _refused(header.value)
    if _is_access_token(raw):
        raise _refused(Reason.REFUSED_TYPE.value)
    claims = _read_claims(await _payload(raw, header, context.idp.jwks))
    reason = _check(claims, context, now)
    if reason is not None:
        raise _refused(reason)
    if nonce is not None and not _is_same(claims.get("nonce"), nonce):
        raise OAuthFault("invalid_grant", "The code belongs to another login.", detail="nonce of the ID token")
    return claims


async def _payload(token: bytes, header: Header, jwks: Jwks) -> bytes:
    """Give what was signed; an unknown key is looked for once more."""
    try:
        ring = await jwks.ring.get()
        payload = verify_signature(token, header, ring)
        if payload is Reason.UNKNOWN_KEY:
            await jwks.refresh_for_unknown()
            payload = verify_signature(token, header, await jwks.ring.get())
    except IdpError as error:
        raise _keys_unavailable(error) from error
    if payload is Reason.UNKNOWN_KEY and jwks.ring.error is not None:
        # The key may be new: only an issuer that answers can tell us that it is not its own.
        raise _keys_unavailable(jwks.ring.error)
    if isinstance(payload, Reason):
        raise _refused(payload.value)
    return payload


def _read_claims(payload: bytes) -> Mapping[str, Any]:
    try:
        return read_object(payload)
    except ValueError as error:
        raise _refused(Reason.MALFORMED_TOKEN.value) from error


def _check(claims: Mapping[str, Any], context: Context, now: float) -> str | None:
    """Give the first fault of the claims for the log."""
    client_id = context.proxy.upstream.client_id
    leeway_s = context.config.verification.leeway_s
    names = issuer_names(context.config, context.idp.metadata.value)
    # aud names the client; azp has rules of its own.
    expected = Expected(names, frozenset((client_id,)), audience_required=True, client_id="", leeway_s=leeway_s)
    common = {name: value for name, value in claims.items() if name not in _OWN_CLAIMS}
    reason = check_claims(common, expected, now)
    if reason is not None:
        return reason.value
    if not claims.get("sub") or "iat" not in claims:
        return Reason.BAD_CLAIMS.value
    return _check_party(claims, client_id)


def _check_party(claims: Mapping[str, Any], client_id: str) -> str | None:
    """Check azp: needed when there are several audiences, and never another party than we."""
    audience = claims["aud"]
    is_shared = isinstance(audience, list) and len(audience) > 1
    party = claims.get("azp", None if is_shared else client_id)
    return None if party == client_id else "azp is not our client"


def _is_access_token(token: bytes) -> bool:
    """Tell by typ (RFC 9068 section 2.1), of a header that was read before."""
    kind = read_object(urlsafe_b64decode(token.partition(b".")[0])).get("typ", "JWT")
    return str(kind).lower().removeprefix("application/") == "at+jwt"


def _is_same(stated: object, nonce: str) -> bool:
    return isinstance(stated, str) and hmac.compare_digest(stated.encode(), nonce.encode())


def _keys_unavailable(error: IdpError) -> OAuthFault:
    return OAuthFault(
        "temporarily_unavailable", "The identity provider cannot be reached at present.", detail=str(error)
    )


def _refused(detail: str) -> OAuthFault:
    return OAuthFault(
        "server_error", "The identity provider's ID token cannot be accepted.", detail=f"ID token: {detail}"
    )
