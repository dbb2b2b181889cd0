"""What the client gets in the end: this module makes its access and refresh token, and the answer that carries them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from postern_sidecar.facade.artefacts import RefreshGrant, seal_as
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.identities import UpstreamIdentity, bound_claims
from postern_sidecar.facade.messages import FacadeAnswer, json_answer
from postern_sidecar.facade.upstream_answers import UpstreamTokens
from postern_sidecar.logs import get_logger
from postern_sidecar.sealing import Purpose
from postern_sidecar.tokens.sealed import AccessTokenContent

__all__ = ["Grant", "answer_with_tokens"]


@dataclass(frozen=True, slots=True)
class Grant:
    """All that the tokens are made from."""

    client: Client
    identity: UpstreamIdentity
    upstream: UpstreamTokens
    scopes: tuple[str, ...]
    """Of the access token."""
    resource: str
    previous: RefreshGrant | None
    """At a refresh; None: a login."""


def answer_with_tokens(grant: Grant, context: Context, now: float) -> FacadeAnswer:
    """Give the answer of RFC 6749 section 5.1. Raises OAuthFault server_error when a token becomes too long."""
    expires_at = _expires_at(grant, context, now)
    if context.proxy.token_mode == "Sealed":  # noqa: S105 - a mode
        expires_at = min(expires_at or now + context.proxy.access_token_ttl_s, now + context.proxy.access_token_ttl_s)
        access_token = _seal_access_token(grant, context, now, int(expires_at))
    else:
        access_token = grant.upstream.access_token
    document: dict[str, object] = {"access_token": access_token, "token_type": "Bearer"}
    if expires_at is not None:
        document["expires_in"] = max(0, int(expires_at) - int(now))
    if grant.scopes:
        document["scope"] = " ".join(grant.scopes)
    refresh_token = _seal_refresh_token(grant, context, now)
    if refresh_token is not None:
        document["refresh_token"] = refresh_token
    answer = json_answer(200, document)
    return replace(answer, client_id=grant.client.id, subject=grant.identity.subject)


def _expires_at(grant: Grant, context: Context, now: float) -> float | None:
    """Give when the identity provider's access token ends, in epoch seconds; None: nobody says."""
    if grant.identity.expires_at is not None:
        return grant.identity.expires_at
    if grant.upstream.expires_in is not None:
        return grant.upstream.received_at + grant.upstream.expires_in
    return None


def _seal_access_token(grant: Grant, context: Context, now: float, expires_at: int) -> str:
    config, client = context.config, grant.client
    metadata = context.idp.metadata.value
    passes_on = config.forward.access_token == "Upstream"  # noqa: S105 - a setting
    content = AccessTokenContent(
        iss=config.issuer.issuer if metadata is None else metadata.issuer,
        sub=grant.identity.subject,
        client_id=client.fingerprint if client.kind == "dynamic" else client.id,
        scope=grant.scopes,
        aud=grant.resource,
        iat=int(now),
        exp=expires_at,
        claims=_bound(grant.identity.claims, context),
        upstream_token=grant.upstream.access_token if passes_on else "",
    )
    try:
        return context.seals.seal(Purpose.ACCESS_TOKEN, msgspec.json.encode(content), now)
    except ValueError as error:
        # The claims are bounded, so only the identity provider's own token can be too much.
        detail = f"forward.accessToken Upstream: {error}"
        raise OAuthFault("server_error", "The access token would be too long.", detail=detail) from error


def _seal_refresh_token(grant: Grant, context: Context, now: float) -> str | None:
    """Give a refresh token; None: the client may have none, or the identity provider gave us none."""
    previous = grant.previous
    upstream_token = grant.upstream.refresh_token or (previous and previous.upstream_token)
    if "refresh_token" not in grant.client.grant_types or not upstream_token:
        return None
    content = RefreshGrant(
        upstream_token=upstream_token,
        client=grant.client.fingerprint,
        # What a refresh asked less for may be asked for again (RFC 6749 section 6).
        scopes=grant.scopes if previous is None else previous.scopes,
        resource=grant.resource,
        subject=grant.identity.subject,
        family=secrets.token_urlsafe(9) if previous is None else previous.family,
        issued_at=int(now),
        claims=_bound(grant.identity.lasting, context),
    )
    try:
        return seal_as(context.seals, content, now)
    except ValueError:
        get_logger("postern.facade").warning("the refresh token would be too long and is not given")
        return None


def _bound(claims: Mapping[str, Any], context: Context) -> dict[str, Any]:
    kept, dropped = bound_claims(claims, context.config)
    if dropped:
        get_logger("postern.facade").warning("claims are too long and left out", names=dropped)
    return kept
