"""The way to the identity provider: this module sends a browser there, with a cookie that knows what for."""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from postern_sidecar.errors import IdpError
from postern_sidecar.facade.artefacts import TRANSACTION_S, ConsentRequest, Transaction, fingerprint, open_as, seal_as
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.cookies import MAX_COOKIE_BYTES, CookieNames, deleted, new_secret, read_cookies, stored
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import FacadeAnswer, FacadeRequest
from postern_sidecar.facade.redirects import redirect, with_parameters
from postern_sidecar.facade.scopes import outward
from postern_sidecar.idp.endpoints import Endpoint

__all__ = ["authorization_endpoint", "begin", "require_fit", "upstream_scopes"]

_MAX_TRANSACTIONS = 4
"""Logins under way in one browser. Those who click more often want the latest."""
_MAX_TRANSACTIONS_BYTES = 6000
"""All of them; many servers refuse requests with more than 8 KiB of cookies."""
_WEB_URL = re.compile(r"(?:https://|http://(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/?]))[\x21-\x22\x24-\x7e]+")
"""In ASCII without a fragment (RFC 6749 section 3.1)."""


async def authorization_endpoint(context: Context) -> str:
    """Give where users log in. Raises OAuthFault: temporarily_unavailable, or server_error when it is no such URL."""
    try:
        url = await context.idp.endpoints.require(Endpoint.AUTHORIZATION)
    except IdpError as error:
        text = "The identity provider cannot be reached at present."
        raise OAuthFault("temporarily_unavailable", text, detail=str(error)) from error
    if not _WEB_URL.fullmatch(url) or not urlsplit(url).netloc:
        text = "The identity provider is not set up properly."
        raise OAuthFault("server_error", text, detail=f"authorization_endpoint is not usable: {url[:200]!r}")
    return url


def upstream_scopes(asked: ConsentRequest, client: Client, context: Context) -> tuple[str, ...]:
    """Give what the identity provider is asked for in the name of the user."""
    return outward(asked.scopes, context.config, offline="refresh_token" in client.grant_types)


def require_fit(asked: ConsentRequest, context: Context, now: float) -> None:
    """Raise OAuthFault invalid_request when the cookie of the login would be larger than browsers keep."""
    if len(_cookie(_transaction(asked, now), context, now)[1]) > MAX_COOKIE_BYTES:
        raise OAuthFault("invalid_request", "state, scope and redirect_uri are too long together.")


async def begin(request: FacadeRequest, asked: ConsentRequest, client: Client, context: Context) -> FacadeAnswer:
    """Give the redirect to the identity provider, with the cookie. To be called after the user agreed (SPEC 47).

    Raises OAuthFault as authorization_endpoint.
    """
    endpoint = await authorization_endpoint(context)
    transaction = _transaction(asked, request.now)
    cookie = _cookie(transaction, context, request.now)
    surplus = _surplus(request, context, len(cookie[1]))
    parameters = _parameters(transaction, upstream_scopes(asked, client, context), context)
    answer = redirect(request, with_parameters(endpoint, parameters), "login_begun")
    return replace(answer, headers=(*answer.headers, cookie, *map(deleted, surplus)), client_id=client.id)


def _transaction(asked: ConsentRequest, now: float) -> Transaction:
    return Transaction(
        client=fingerprint(asked.client_id),
        redirect_uri=asked.redirect_uri,
        challenge=asked.challenge,
        scopes=asked.scopes,
        resource=asked.resource,
        expires_at=int(now) + TRANSACTION_S,
        upstream_state=new_secret(),
        verifier=secrets.token_urlsafe(32),
        nonce=new_secret(),
        state=asked.state,
    )


def _cookie(transaction: Transaction, context: Context, now: float) -> tuple[bytes, bytes]:
    name = CookieNames(context.proxy.issuer).transaction(transaction.upstream_state)
    return stored(name, seal_as(context.seals, transaction, now), TRANSACTION_S)


def _parameters(transaction: Transaction, scopes: tuple[str, ...], context: Context) -> Mapping[str, str]:
    upstream = context.proxy.upstream
    digest = hashlib.sha256(transaction.verifier.encode()).digest()
    extra = {parameter.name: parameter.value for parameter in upstream.authorize_params}
    # Those of the policy first, so that none of them replaces one of the protocol's.
    return {
        **extra,
        "response_type": "code",
        "client_id": upstream.client_id,
        "redirect_uri": upstream.redirect_uri,
        **({"scope": " ".join(scopes)} if scopes else {}),
        "state": transaction.upstream_state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        **({"nonce": transaction.nonce} if upstream.openid else {}),
        **({"resource": transaction.resource} if upstream.sends_resource else {}),
    }


def _surplus(request: FacadeRequest, context: Context, new_bytes: int) -> list[str]:
    """Give the names of the browser's older logins for which a further one leaves no room.

    Only those that can be opened: others may belong to another server on this host.
    """
    prefix = CookieNames(context.proxy.issuer).transactions
    own = [
        (transaction.expires_at, name, len(name) + len(value))
        for name, value in read_cookies(request).items()
        if name.startswith(prefix) and (transaction := open_as(context.seals, Transaction, value)) is not None
    ]
    surplus: list[str] = []
    kept, kept_bytes = 1, new_bytes
    for expires_at, name, size in sorted(own, reverse=True):
        kept, kept_bytes = kept + 1, kept_bytes + size
        if expires_at <= request.now or kept > _MAX_TRANSACTIONS or kept_bytes > _MAX_TRANSACTIONS_BYTES:
            surplus.append(name)
    return surplus
