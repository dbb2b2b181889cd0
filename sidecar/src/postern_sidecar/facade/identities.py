"""Whom does a login speak for? This module gathers it from ID token, access token and userinfo."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from postern_crds.sidecar_config import ClaimTable, SidecarConfig
from postern_sidecar.errors import IdpError
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.id_tokens import read_id_token
from postern_sidecar.facade.upstream_answers import UpstreamTokens
from postern_sidecar.idp.endpoints import Endpoint
from postern_sidecar.outcome import Invalid, Unavailable
from postern_sidecar.strict_json import read_object
from postern_sidecar.tokens.claims import find, read_identity

__all__ = ["MAX_CLAIMS_BYTES", "UpstreamIdentity", "bound_claims", "identify"]

MAX_CLAIMS_BYTES = 3072
"""JSON; sealed they travel with each request, besides all that the client sends."""
_PROTOCOL = frozenset(
    ("iss", "aud", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "s_hash", "azp", "sid", "auth_time", "typ")
) | frozenset(("token_use", "token_type", "active", "client_id", "scope", "scp"))
"""Of the token that was exchanged, not of its holder."""
_ABOUT_PEOPLE = frozenset(
    ("name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture")
) | frozenset(("website", "email", "gender", "birthdate", "zoneinfo", "locale", "phone_number", "address"))
"""Of OpenID Connect Core section 5.1, without what vouches for others of them (email_verified)."""
_UNREACHABLE = "The identity provider cannot be reached at present."


@dataclass(frozen=True, slots=True)
class UpstreamIdentity:
    """Who it is, according to the identity provider."""

    subject: str
    """Never empty."""
    claims: Mapping[str, Any]
    """Of the holder; unbounded."""
    lasting: Mapping[str, Any]
    """Of them and with sub those of the ID token, for a refresh that brings none; unbounded."""
    expires_at: float | None
    """exp of the access token in epoch seconds; None: nobody says."""


async def identify(
    tokens: UpstreamTokens, context: Context, *, nonce: str | None, known: Mapping[str, Any], now: float
) -> UpstreamIdentity:
    """Validate what came from the exchange, and merge its claims: those of the access token win.

    nonce: of the login; None: a refresh, for which known are the lasting claims of before. Raises OAuthFault:
    temporarily_unavailable, invalid_grant when the ID token is of another login or user, server_error.
    """
    fresh = await _id_claims(tokens, context, nonce=nonce, now=now)
    lasting = {**(_about_people(known, context.config.claims) if fresh else known), **fresh}
    if known.get("sub", lasting.get("sub")) != lasting.get("sub"):
        raise OAuthFault("invalid_grant", "The login is of another user now.", detail="sub of the ID token changed")
    access = await _access_claims(tokens, context, now)
    remote = context.config.verification.remote
    if remote is not None and remote.kind == "Userinfo" and lasting.get("sub", access.get("sub")) != access.get("sub"):
        # OpenID Connect Core section 5.3.2.
        raise OAuthFault("server_error", "The identity provider contradicts itself.", detail="sub of userinfo differs")
    own = {**lasting, **await _userinfo(tokens, context, lasting.get("sub"))}
    merged = {**own, **access}
    subject = _subject(own, access, context.config.claims)
    if not subject:
        detail = "neither sub nor a claim of spec.claims.userId is in the ID token, the access token or userinfo"
        raise OAuthFault("server_error", "The identity provider does not tell who logged in.", detail=detail)
    return UpstreamIdentity(
        subject=subject,
        claims=_of_holder(merged, context.config, keep=()),
        lasting=_of_holder(lasting, context.config, keep=("sub",)),
        expires_at=access.get("exp"),
    )


def bound_claims(claims: Mapping[str, Any], config: SidecarConfig) -> tuple[dict[str, Any], list[str]]:
    """Give claims within MAX_CLAIMS_BYTES, and the names of those that the policy wants but that found no room.

    Too many: sub and those alone that the claim table and forward.claims name, each by the name that it has there.
    """
    if _size(claims) <= MAX_CLAIMS_BYTES:
        return dict(claims), []
    kept: dict[str, Any] = {}
    dropped: list[str] = []
    for name in dict.fromkeys(("sub", *_named(config))):
        value = find(claims, name)
        if value is None:
            continue
        if _size({**kept, name: value}) <= MAX_CLAIMS_BYTES:
            kept[name] = value
        else:
            dropped.append(name)
    return kept, dropped


async def _id_claims(tokens: UpstreamTokens, context: Context, *, nonce: str | None, now: float) -> Mapping[str, Any]:
    if not context.proxy.upstream.openid:
        return {}
    if tokens.id_token is not None:
        return await read_id_token(tokens.id_token, context, nonce=nonce, now=now)
    if nonce is None:
        return {}
    detail = "no ID token came, although openid is among the scopes: is it allowed for our client?"
    raise OAuthFault("server_error", "The identity provider does not tell who logged in.", detail=detail)


async def _access_claims(tokens: UpstreamTokens, context: Context, now: float) -> Mapping[str, Any]:
    match await context.idp.tokens.claims(tokens.access_token.encode(), now):
        case Unavailable(reason=reason):
            raise OAuthFault("temporarily_unavailable", _UNREACHABLE, detail=f"access token: {reason.value}")
        case Invalid(reason=reason):
            text = "The identity provider's access token cannot be accepted."
            raise OAuthFault("server_error", text, detail=f"access token of the identity provider: {reason.value}")
        case claims:
            return claims


async def _userinfo(tokens: UpstreamTokens, context: Context, subject: object) -> Mapping[str, Any]:
    """Ask for further claims where the policy says so (OpenID Connect Core section 5.3)."""
    upstream = context.proxy.upstream
    if not upstream.userinfo:
        return {}
    headers = {"authorization": f"Bearer {tokens.access_token}"}
    try:
        url = upstream.userinfo_url or await context.idp.endpoints.require(Endpoint.USERINFO)
        answer = await context.idp.client.send("GET", url, headers=headers)
    except IdpError as error:
        raise OAuthFault("temporarily_unavailable", _UNREACHABLE, detail=str(error)) from error
    detail = f"status {answer.status}, {answer.content_type or 'no type'} from {url}"
    if answer.status in (401, 403):
        raise OAuthFault("server_error", "The identity provider does not tell who logged in.", detail=detail)
    try:
        claims = read_object(answer.body)
    except ValueError as error:
        raise OAuthFault("temporarily_unavailable", _UNREACHABLE, detail=detail) from error
    if answer.status != 200:
        raise OAuthFault("temporarily_unavailable", _UNREACHABLE, detail=detail)
    if subject is not None and claims.get("sub") != subject:
        # Section 5.3.2: else one user's access token could be given to another's login.
        raise OAuthFault("server_error", "The identity provider contradicts itself.", detail="sub of userinfo differs")
    return claims


def _about_people(known: Mapping[str, Any], table: ClaimTable) -> Mapping[str, Any]:
    """Give what stays true of somebody of whom a new ID token came without it: profile, and never a right.

    Identity providers leave names and pictures out of later ID tokens; but a role that is missing was taken away.
    """
    people = (table.user_id, table.email, table.name, table.username, table.nickname, table.picture)
    kept = _ABOUT_PEOPLE.union(*people)
    return {name: value for name, value in known.items() if name in kept}


def _subject(own: Mapping[str, Any], access: Mapping[str, Any], table: ClaimTable) -> str:
    for claims in (access, own):
        stated = claims.get("sub")
        if isinstance(stated, str) and stated:
            return stated
    return read_identity({**own, **access}, table).user_id


def _of_holder(claims: Mapping[str, Any], config: SidecarConfig, keep: tuple[str, ...]) -> Mapping[str, Any]:
    """Leave out what is the protocol's, unless the policy forwards it."""
    removed = (_PROTOCOL | {"sub"}) - {extra.claim for extra in config.forward.claims} - set(keep)
    return {name: value for name, value in claims.items() if name not in removed}


def _named(config: SidecarConfig) -> list[str]:
    table: dict[str, tuple[str, ...]] = msgspec.structs.asdict(config.claims)
    return [name for names in table.values() for name in names] + [extra.claim for extra in config.forward.claims]


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))
