"""Tokens that are wanted no longer: this module is the revocation endpoint (RFC 7009), for public clients too."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from postern_sidecar.facade.artefacts import RefreshGrant, open_as
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest, json_answer
from postern_sidecar.facade.programs import answer_program
from postern_sidecar.outcome import Invalid, Unavailable
from postern_sidecar.sealing import Purpose
from postern_sidecar.tokens.sealed import AccessTokenContent

__all__ = ["revoke"]


async def revoke(request: FacadeRequest, context: Context) -> FacadeAnswer:
    """Answer a revocation request.

    A refresh token ends at the identity provider, if it can revoke. An access token of ours lives on until its exp,
    for nothing is stored; the identity provider's inside ends.
    """
    return await answer_program(request, context, _revoke)


async def _revoke(client: Client, form: Mapping[str, str], context: Context, now: float) -> FacadeAnswer:
    token = form.get("token")
    if token is None:
        raise OAuthFault("invalid_request", "The parameter token is missing.")
    # token_type_hint is not needed: what is sealed tells its kind (RFC 7009 section 2.1 lets us ignore it).
    subject = await _revoke_refresh_token(client, token, context)
    if subject is None:
        subject = await _revoke_access_token(client, token, context, now)
    # Of a token that nobody knows there is nothing left to do (RFC 7009 section 2.2).
    return replace(json_answer(200, {}, event="revoked"), client_id=client.id, subject=subject)


async def _revoke_refresh_token(client: Client, token: str, context: Context) -> str | None:
    """Revoke it, if it is one; gives its subject."""
    grant = open_as(context.seals, RefreshGrant, token)
    if grant is None:
        return None
    _check_client(grant.client, client)
    await context.exchange.revoke(grant.upstream_token, "refresh_token")
    context.refreshing.forget(grant.upstream_token)
    return grant.subject


async def _revoke_access_token(client: Client, token: str, context: Context, now: float) -> str:
    """Revoke what can be revoked of it; gives its subject, empty when it is none."""
    if context.proxy.token_mode == "Passthrough":  # noqa: S105 - a mode
        return await _revoke_upstream_token(token, context, now)
    content = _open_access_token(token, context)
    if content is None:
        return ""
    _check_client(content.client_id, client)
    if content.upstream_token:
        await context.exchange.revoke(content.upstream_token, "access_token")
    return content.sub


async def _revoke_upstream_token(token: str, context: Context, now: float) -> str:
    # What is not a token for us is not sent on: anybody may call here.
    claims = await context.idp.tokens.claims(token.encode(), now)
    if isinstance(claims, Unavailable):
        detail = f"access token: {claims.reason.value}"
        raise OAuthFault(
            "temporarily_unavailable", "The identity provider cannot be reached at present.", detail=detail
        )
    if isinstance(claims, Invalid):
        return ""
    await context.exchange.revoke(token, "access_token")
    return str(claims.get("sub", ""))


def _open_access_token(token: str, context: Context) -> AccessTokenContent | None:
    content = context.seals.open(Purpose.ACCESS_TOKEN, token)
    try:
        return None if content is None else msgspec.json.decode(content, type=AccessTokenContent)
    except msgspec.MsgspecError:
        # Sealed by another release with another shape.
        return None


def _check_client(owner: str, client: Client) -> None:
    # RFC 7009 section 2.1: the request of another client is refused.
    if owner not in (client.id, client.fingerprint):
        raise OAuthFault("invalid_grant", "The token is of another client.")
