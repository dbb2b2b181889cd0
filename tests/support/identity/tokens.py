"""Real access tokens without any MCP client: registration, login with S256, exchange (RFC 7591, 7636, 6749, 8707)."""

import base64
import hashlib
import secrets
from dataclasses import dataclass

import httpx2

from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.network import Network

REDIRECT_URI = "http://127.0.0.1:3031/callback"
"""Nobody listens there: the scripted browser stops before it."""


class TokenRefused(Exception):
    """The identity provider gave no token; the message is its error."""


@dataclass(frozen=True, slots=True)
class _Client:
    http: httpx2.AsyncClient
    metadata: dict[str, str]
    client_id: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one login gave, and what a refresh needs."""

    client_id: str
    token_endpoint: str
    access_token: str
    refresh_token: str | None
    scope: str | None


async def obtain_token(issuer: str, resource: str, *, scope: str, browser: ScriptedBrowser) -> str:
    """A new access token for ``resource`` for the browser's user. ``TokenRefused`` when there is none."""
    return (await obtain_tokens(issuer, resource, scope=scope, browser=browser)).access_token


async def obtain_tokens(issuer: str, resource: str, *, scope: str, browser: ScriptedBrowser) -> Tokens:
    """The same with all that came with it."""
    async with browser.network.client() as http:
        metadata = (await http.get(f"{issuer}/.well-known/openid-configuration")).raise_for_status().json()
        client = _Client(http, metadata, await _register(http, metadata, scope))
        verifier = secrets.token_urlsafe(48)
        code = await _authorize(client, browser, verifier, {"resource": resource, "scope": scope})
        form = {
            "grant_type": "authorization_code",
            "client_id": client.client_id,
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": REDIRECT_URI,
            "resource": resource,
        }
        return _tokens(client.client_id, await http.post(metadata["token_endpoint"], data=form))


async def refresh(tokens: Tokens, *, network: Network | None = None) -> Tokens:
    """New tokens for a refresh token. ``TokenRefused`` when there are none."""
    form = {
        "grant_type": "refresh_token",
        "client_id": tokens.client_id,
        "refresh_token": tokens.refresh_token or "",
    }
    async with (network or Network()).client() as http:
        return _tokens(tokens.client_id, await http.post(tokens.token_endpoint, data=form))


def _tokens(client_id: str, answer: httpx2.Response) -> Tokens:
    return Tokens(
        client_id=client_id,
        token_endpoint=str(answer.request.url),
        access_token=str(_field(answer, "access_token")),
        refresh_token=answer.json().get("refresh_token"),
        scope=answer.json().get("scope"),
    )


async def _register(http: httpx2.AsyncClient, metadata: dict[str, str], scope: str) -> str:
    document = {
        "client_name": "token fetcher",
        "redirect_uris": [REDIRECT_URI],
        "application_type": "native",
        "token_endpoint_auth_method": "none",
        "scope": scope,
    }
    answer = await http.post(metadata["registration_endpoint"], json=document)
    return str(_field(answer, "client_id"))


async def _authorize(client: _Client, browser: ScriptedBrowser, verifier: str, wish: dict[str, str]) -> str:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    state = secrets.token_urlsafe(16)
    parameters = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": REDIRECT_URI,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "state": state,
        **wish,
    }
    url = httpx2.URL(client.metadata["authorization_endpoint"], params=parameters)
    callback = await browser.open(str(url), redirect_uri=REDIRECT_URI)
    if callback.get("state") != state or "code" not in callback:
        raise TokenRefused(callback.get("error", "the callback has no code, or a foreign state"))
    return callback["code"]


def _field(answer: httpx2.Response, name: str) -> object:
    if not answer.is_success:
        raise TokenRefused(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}")
    return answer.json()[name]
