"""Tokens for codes and refresh tokens: this module is the token endpoint (RFC 6749 section 3.2)."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace

from postern_sidecar.errors import IdpError
from postern_sidecar.facade.artefacts import Code, RefreshGrant, open_as
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.identities import identify
from postern_sidecar.facade.issue import Grant, answer_with_tokens
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest
from postern_sidecar.facade.programs import answer_program
from postern_sidecar.facade.resources import resolve
from postern_sidecar.facade.scopes import OFFLINE_ACCESS, inward, outward, parse_scopes
from postern_sidecar.facade.upstream_answers import UpstreamTokens

__all__ = ["token"]

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""RFC 7636 section 4.1."""
_NO_SUCH_CODE = "The code is unknown, expired, or of another client."
_NO_SUCH_REFRESH_TOKEN = "The refresh token is unknown or of another client."  # noqa: S105 - a text


async def token(request: FacadeRequest, context: Context) -> FacadeAnswer:
    """Answer a token request. Whatever is refused here never reaches the identity provider."""
    return await answer_program(request, context, _grant)


async def _grant(client: Client, form: Mapping[str, str], context: Context, now: float) -> FacadeAnswer:
    grant_type = form.get("grant_type", "")
    # One that is none of the policy's is nobody's; one that is not the client's is not for it.
    if grant_type not in context.proxy.grant_types:
        raise OAuthFault("unsupported_grant_type", "This grant type is not supported here.")
    if grant_type not in client.grant_types:
        raise OAuthFault("unauthorized_client", "The client is not registered for this grant type.")
    if grant_type == "refresh_token":
        return await _refresh(client, form, context, now)
    return await _redeem(client, form, context, now)


async def _redeem(client: Client, form: Mapping[str, str], context: Context, now: float) -> FacadeAnswer:
    """Grant authorization_code (RFC 6749 section 4.1.3)."""
    code = _open_code(client, form, context, now)
    _check_redirect_uri(form, code)
    _check_verifier(form, code)
    _check_resource(form, code.resource, context)
    await _await_keys(context)
    asked = outward(code.scopes, context.config, offline="refresh_token" in client.grant_types)
    upstream = await context.exchange.redeem(code, scopes=asked, now=now)
    identity = await identify(upstream, context, nonce=code.nonce, known={}, now=now)
    scopes = _granted(code.scopes, upstream, context)
    grant = Grant(client, identity, upstream, scopes, code.resource, previous=None)
    return replace(answer_with_tokens(grant, context, now), event="issued")


async def _refresh(client: Client, form: Mapping[str, str], context: Context, now: float) -> FacadeAnswer:
    """Grant refresh_token (RFC 6749 section 6)."""
    previous = _open_refresh_token(client, form, context)
    _check_resource(form, previous.resource, context)
    _check_required_scopes(previous, context)
    wanted = _narrowed(form, previous, context)
    await _await_keys(context)
    known = previous.scopes if context.config.verification.supported_scopes else ()
    asked = outward(known, context.config, offline=True)

    async def ask() -> UpstreamTokens:
        return await context.exchange.refresh(previous, scopes=asked, now=now)

    upstream = await context.refreshing.once(previous.upstream_token, ask, now)
    identity = await identify(upstream, context, nonce=None, known=previous.claims, now=now)
    if identity.subject != previous.subject:
        raise OAuthFault("invalid_grant", "The login is of another user now.", detail="the subject changed")
    scopes = _granted(wanted, upstream, context)
    grant = Grant(client, identity, upstream, scopes, previous.resource, previous)
    return replace(answer_with_tokens(grant, context, now), event="refreshed")


def _open_code(client: Client, form: Mapping[str, str], context: Context, now: float) -> Code:
    sealed = _required(form, "code")
    code = open_as(context.seals, Code, sealed)
    if code is None or now >= code.expires_at or code.client != client.fingerprint:
        raise OAuthFault("invalid_grant", _NO_SUCH_CODE)
    return code


def _check_redirect_uri(form: Mapping[str, str], code: Code) -> None:
    # OAuth 2.1 no longer sends it; whoever does must mean the same (RFC 6749 section 4.1.3).
    if form.get("redirect_uri", code.redirect_uri) != code.redirect_uri:
        raise OAuthFault("invalid_grant", "The redirect_uri is not that of the authorization request.")


def _check_verifier(form: Mapping[str, str], code: Code) -> None:
    """Check PKCE, S256 alone (RFC 7636 section 4.6)."""
    verifier = _required(form, "code_verifier")
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthFault("invalid_grant", "The code_verifier is malformed.")
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    if not hmac.compare_digest(challenge, code.challenge.encode()):
        raise OAuthFault("invalid_grant", "The code_verifier does not fit the code_challenge.")


def _check_resource(form: Mapping[str, str], bound: str, context: Context) -> None:
    """Check that the request, the code or refresh token, and the policy mean one resource (RFC 8707 section 2.2)."""
    if resolve(form.get("resource"), context.config) != bound:
        raise OAuthFault("invalid_target", "The resource is not that of the authorization request.")


def _open_refresh_token(client: Client, form: Mapping[str, str], context: Context) -> RefreshGrant:
    grant = open_as(context.seals, RefreshGrant, _required(form, "refresh_token"))
    if grant is None or grant.client != client.fingerprint:
        raise OAuthFault("invalid_grant", _NO_SUCH_REFRESH_TOKEN)
    return grant


def _check_required_scopes(grant: RefreshGrant, context: Context) -> None:
    """Refuse a grant whose tokens would open nothing.

    Some clients refresh first when scopes are lacking, and log in anew only when that fails.
    """
    if not set(context.config.verification.required_scopes) <= set(grant.scopes):
        raise OAuthFault("invalid_grant", "The login lacks scopes that are required here: log in anew.")


def _narrowed(form: Mapping[str, str], grant: RefreshGrant, context: Context) -> tuple[str, ...]:
    """Give the scopes that a refresh asks for; some clients ask for more before they log in anew."""
    asked = parse_scopes(form.get("scope"))
    # Clients repeat what they asked for at login, of which this one names no right.
    wanted = tuple(scope for scope in asked or () if scope != OFFLINE_ACCESS)
    if not set(wanted) <= set(grant.scopes):
        raise OAuthFault("invalid_scope", "A refresh cannot ask for more scopes than were granted: log in anew.")
    # What the policy has today counts; one without scopes leaves them to the server.
    supported = context.config.verification.supported_scopes
    return tuple(scope for scope in wanted or grant.scopes if not supported or scope in (*supported, OFFLINE_ACCESS))


async def _await_keys(context: Context) -> None:
    """Have the keys of ID tokens before a code or refresh token is used up that could not be turned into anything."""
    if not context.proxy.upstream.openid:
        return
    try:
        await context.idp.jwks.ring.get()
    except IdpError as error:
        text = "The identity provider cannot be reached at present."
        raise OAuthFault("temporarily_unavailable", text, detail=str(error)) from error


def _granted(asked: Sequence[str], upstream: UpstreamTokens, context: Context) -> tuple[str, ...]:
    """Give the scopes of the access token: of those asked for the ones that the identity provider granted."""
    # It names no right, only the wish for a refresh token.
    rights = tuple(scope for scope in asked if scope != OFFLINE_ACCESS)
    if upstream.scope is None:
        # Not stated: as asked for (RFC 6749 section 5.1).
        return rights
    granted = inward(upstream.scope, context.config)
    if not asked and not context.config.verification.supported_scopes:
        # The policy knows no scopes, so nobody could ask for any: they are for the server to read.
        return granted
    return tuple(scope for scope in rights if scope in granted)


def _required(form: Mapping[str, str], name: str) -> str:
    value = form.get(name)
    if value is None:
        raise OAuthFault("invalid_request", f"The parameter {name} is missing.")
    return value
