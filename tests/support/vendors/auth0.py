"""Auth0's Authentication API, as documented.

Sources: auth0.com/docs/api/authentication (authorize with audience, token, userinfo, revoke), /docs/secure/tokens
(access tokens without an audience are opaque to others; permissions; refresh tokens need offline_access), the guide of
the resource parameter compatibility profile (resource is not looked at, and audience wins); the answer to a wrong
client secret, 401 access_denied, in auth0/laravel-auth0 issue 42 and auth0-angular-samples issue 201; the answer to a
refresh token that it does not know, 403 invalid_grant, in Auth0.swift issue 819.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from tests.support.tokens import SigningPair, issue
from tests.support.vendors.grants import App, AuthorizationServer, Fault, Login
from tests.support.vendors.wire import Asked, Reply, json_reply, page

__all__ = ["Auth0"]

HOST = "acme.eu.auth0.com"
AUTHORIZE, TOKEN, USERINFO = f"{HOST}/authorize", f"{HOST}/oauth/token", f"{HOST}/userinfo"
REVOKE, KEYS = f"{HOST}/oauth/revoke", f"{HOST}/.well-known/jwks.json"
METADATA = f"{HOST}/.well-known/openid-configuration"
_LIFE_S = 86_400
_OPENID = ("openid", "profile", "email", "offline_access")
_UNAUTHORIZED = (401, "access_denied", "Unauthorized")
_WORDS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.UNKNOWN_CLIENT: _UNAUTHORIZED,
    Fault.WRONG_SECRET: _UNAUTHORIZED,
    Fault.WRONG_METHOD: _UNAUTHORIZED,
    Fault.BAD_CODE: (403, "invalid_grant", "Invalid authorization code"),
    Fault.USED_CODE: (403, "invalid_grant", "Invalid authorization code"),
    Fault.BAD_REDIRECT: (401, "unauthorized_client", "The redirect URI is wrong. You sent another one."),
    Fault.BAD_VERIFIER: (403, "invalid_grant", "Failed to verify code verifier"),
    Fault.BAD_REFRESH_TOKEN: (403, "invalid_grant", "Unknown or invalid refresh token."),
    Fault.BAD_GRANT_TYPE: (403, "unauthorized_client", "Grant type not allowed for the client."),
    Fault.BAD_REQUEST: (400, "invalid_request", "Missing required parameter."),
}


class Auth0(AuthorizationServer):
    """A tenant with one API."""

    hosts = (HOST,)
    methods = frozenset(("client_secret_post",))
    """Of regular web applications, unless they choose another."""

    def __init__(self, pair: SigningPair) -> None:
        super().__init__(pair, App("pYk3"), App("zZz9", "other"))
        self.apis = {"urn:weather": ("weather.read", "weather.write"), "urn:other": ("weather.read",)}
        """By identifier, their scopes."""
        self.user = {"sub": "auth0|alice", "name": "Alice Example", "nickname": "alice", "email": "alice@example.com"}
        self.user |= {"picture": "https://s.gravatar.example.com/a", "updated_at": "2026-01-01T00:00:00.000Z"}
        self.permissions: tuple[str, ...] = ("weather:forecast",)
        self.organization: dict[str, str] = {"org_id": "org_1"}
        """Claims of a login at an organization."""
        self.token_profile = "auth0"
        """Or rfc9068: what the access tokens of the API look like. Or encrypted, as if no API were asked for."""
        self.routes = {
            ("GET", METADATA): self._metadata,
            ("GET", KEYS): lambda _: json_reply(200, {"keys": [pair.jwk()]}),
            ("GET", AUTHORIZE): self.authorize,
            ("POST", TOKEN): self.token,
            ("GET", USERINFO): self._userinfo,
            ("POST", REVOKE): self._revoke,
        }

    def fault(self, fault: Fault) -> Reply:
        status, error, description = _WORDS[fault]
        return json_reply(status, {"error": error, "error_description": description})

    def wrong_redirect(self, app: App) -> Reply:
        return page(403, "Callback URL mismatch.")

    def check_authorization(self, query: Mapping[str, str]) -> None:
        if "audience" in query and query["audience"] not in self.apis:
            raise self.send_back(query, "access_denied", f"Service not found: {query['audience']}")

    def granted(self, query: Mapping[str, str]) -> tuple[str, ...]:
        known = (*_OPENID, *self.apis.get(query.get("audience", ""), ()))
        return tuple(scope for scope in query.get("scope", "").split() if scope in known)

    def gives_refresh_token(self, login: Login) -> bool:
        return "offline_access" in login.scopes

    def members(self, login: Login, form: Mapping[str, str], *, at_refresh: bool) -> dict[str, Any]:
        audience = login.query.get("audience")
        # resource is not looked at; without an audience the token is for userinfo alone, and encrypted.
        access_token = f"eyJhbGciOiJkaXIi..{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(64)}.AAAA"
        if audience is not None and self.token_profile != "encrypted":
            access_token = self._access_token(login, audience)
        self.remember(access_token, login)
        members = {"access_token": access_token, "scope": " ".join(login.scopes), "expires_in": _LIFE_S}
        members |= {"token_type": "Bearer"}
        if "openid" in login.scopes:
            claims = {"iss": self.at(f"{HOST}/"), **self.user, "email_verified": True, "sid": "s1", **self.organization}
            members["id_token"] = self.id_token(login, claims, access_token)
        return members

    def token_reply(self, asked: Asked, members: Mapping[str, Any]) -> Reply:
        return json_reply(200, members)

    def foreign_token(self, scope: str) -> str:
        """A token of the same user for another API of the tenant."""
        login = Login(self.other, {"audience": "urn:other"}, tuple(scope.split()), self.now())
        return self._access_token(login, "urn:other")

    def _access_token(self, login: Login, audience: str) -> str:
        now = int(self.now())
        claims: dict[str, Any] = {
            "iss": self.at(f"{HOST}/"),
            "sub": self.user["sub"],
            "aud": [audience, self.at(USERINFO)],
        }
        claims |= {"iat": now, "exp": now + _LIFE_S, "scope": " ".join(login.scopes), **self.organization}
        claims |= {"permissions": list(self.permissions)} if self.permissions else {}
        if self.token_profile == "rfc9068":
            claims |= {"client_id": login.app.id, "jti": secrets.token_hex(8)}
            return issue(self.pair, claims, typ="at+jwt")
        return issue(self.pair, {**claims, "azp": login.app.id}, typ="JWT")

    def _metadata(self, _: Asked) -> Reply:
        return json_reply(
            200,
            {
                "issuer": self.at(f"{HOST}/"),
                "authorization_endpoint": self.at(AUTHORIZE),
                "token_endpoint": self.at(TOKEN),
                "userinfo_endpoint": self.at(USERINFO),
                "jwks_uri": self.at(KEYS),
                "revocation_endpoint": self.at(REVOKE),
                "code_challenge_methods_supported": ["S256", "plain"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            },
        )

    def _userinfo(self, asked: Asked) -> Reply:
        login = self.holder(asked.bearer())
        return Reply(401, b"Unauthorized") if login is None else json_reply(200, self.user)

    def _revoke(self, asked: Asked) -> Reply:
        app, login = self.authenticate(asked), self.tokens.refresh.get(asked.form.get("token", ""))
        if login is not None and login.app is app:
            login.is_ended = True
        return json_reply(200, {})
