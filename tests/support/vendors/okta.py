"""Okta's custom authorization servers, as documented.

Sources: developer.okta.com/docs/api/openapi/okta-oauth (endpoints, errors, claims of tokens), support.okta.com, "One or
more scopes are not configured for the authorization server resource", "Okta Groups or Attribute Missing from Id Token"
(ID tokens that come with an access token are thin), /docs/guides/refresh-tokens (rotation, grace period, reuse); header
and claims of an access token as shown by users in rabbitmq-users (no typ; sub is the login, uid the user).
"""

import secrets
from collections.abc import Mapping
from typing import Any

from tests.support.tokens import SigningPair, issue
from tests.support.vendors.grants import App, AuthorizationServer, Fault, Login
from tests.support.vendors.wire import Asked, Reply, json_reply

__all__ = ["Okta"]

HOST = "acme.okta.com"
SERVER = f"{HOST}/oauth2/default"
AUTHORIZE, TOKEN, KEYS = (f"{SERVER}/v1/{name}" for name in ("authorize", "token", "keys"))
USERINFO, REVOKE = f"{SERVER}/v1/userinfo", f"{SERVER}/v1/revoke"
METADATA = f"{SERVER}/.well-known/openid-configuration"
_LIFE_S = 3600
_OPENID = frozenset(("openid", "profile", "email", "address", "phone", "groups", "offline_access"))
_WORDS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.WRONG_SECRET: (401, "invalid_client", "The client secret supplied for a confidential client is invalid."),
    Fault.WRONG_METHOD: (400, "invalid_request", "Cannot supply multiple client credentials."),
    Fault.BAD_CODE: (400, "invalid_grant", "The authorization code is invalid or has expired."),
    Fault.USED_CODE: (400, "invalid_grant", "The authorization code is invalid or has expired."),
    Fault.BAD_REDIRECT: (400, "invalid_grant", "The 'redirect_uri' does not match the authorization request."),
    Fault.BAD_VERIFIER: (400, "invalid_grant", "PKCE verification failed."),
    Fault.BAD_REFRESH_TOKEN: (400, "invalid_grant", "The refresh token is invalid or expired."),
    Fault.BAD_GRANT_TYPE: (400, "unsupported_grant_type", "The authorization grant type is not supported."),
    Fault.BAD_REQUEST: (400, "invalid_request", "The request is malformed."),
}


class Okta(AuthorizationServer):
    """Codes live for a minute; a rotated refresh token is good for a while longer."""

    hosts = (HOST,)
    methods = frozenset(("client_secret_basic",))
    """Of applications that do not choose another."""
    code_life_s = 60
    rotation_grace_s = 30

    def __init__(self, pair: SigningPair) -> None:
        super().__init__(pair, App("0oa1b2c3"), App("0oaother", "other"))
        self.rotates = True
        self.audience = "api://default"
        self.scopes = ("weather.read", "weather.write")
        """Of the authorization server, beside OpenID Connect's."""
        self.user_id, self.username = "00u1abcd", "alice@example.com"
        self.profile = {"name": "Alice Example", "preferred_username": self.username, "email": self.username}
        self.groups = ("Everyone", "Forecasters")
        self.routes = {
            ("GET", METADATA): self._metadata,
            ("GET", KEYS): lambda _: json_reply(200, {"keys": [pair.jwk()]}),
            ("GET", AUTHORIZE): self.authorize,
            ("POST", TOKEN): self.token,
            ("GET", USERINFO): self._userinfo,
            ("POST", REVOKE): self._revoke,
        }

    def fault(self, fault: Fault) -> Reply:
        if fault is Fault.UNKNOWN_CLIENT:
            summary = "Invalid value for 'client_id' parameter."
            return json_reply(401, {"errorCode": "invalid_client", "errorSummary": summary, "errorCauses": []})
        status, error, description = _WORDS[fault]
        return json_reply(status, {"error": error, "error_description": description})

    def check_authorization(self, query: Mapping[str, str]) -> None:
        if not query.get("state"):
            raise self.send_back(query, "invalid_request", "The 'state' parameter is required.")
        unknown = set(query.get("scope", "").split()) - _OPENID - set(self.scopes)
        if unknown or not query.get("scope"):
            text = "One or more scopes are not configured for the authorization server resource."
            raise self.send_back(query, "invalid_scope", text)

    def gives_refresh_token(self, login: Login) -> bool:
        return "offline_access" in login.scopes

    def members(self, login: Login, form: Mapping[str, str], *, at_refresh: bool) -> dict[str, Any]:
        scopes = tuple(form["scope"].split()) if at_refresh and form.get("scope") else login.scopes
        access_token = self.remember(self.access_token(login, scopes), login)
        members = {"token_type": "Bearer", "expires_in": _LIFE_S, "access_token": access_token}
        members |= {"scope": " ".join(scopes)}
        if "openid" in scopes:
            thin = {"sub": self.user_id, "ver": 1, "amr": ["pwd"], "idp": "00o1", "auth_time": int(login.at)}
            thin |= {name: self.profile[name] for name in ("name", "preferred_username") if "profile" in scopes}
            claims = {"iss": self.at(SERVER), "jti": f"ID.{secrets.token_hex(8)}", **thin}
            members["id_token"] = self.id_token(login, claims, access_token, typ=None)
        return members

    def token_reply(self, asked: Asked, members: Mapping[str, Any]) -> Reply:
        return json_reply(200, members)

    def access_token(self, login: Login, scopes: tuple[str, ...], **changes: Any) -> str:
        """A token of this authorization server, unless changes say otherwise."""
        now = int(self.now())
        claims = {"ver": 1, "jti": f"AT.{secrets.token_hex(8)}", "iss": self.at(SERVER), "aud": self.audience}
        claims |= {"iat": now, "exp": now + _LIFE_S, "cid": login.app.id, "uid": self.user_id, "scp": list(scopes)}
        claims |= {"auth_time": int(login.at), "sub": self.username}
        return issue(self.pair, {**claims, **changes}, typ=None)

    def foreign_token(self, scope: str) -> str:
        """A token of another authorization server of the org."""
        return self.access_token(
            Login(self.other, {}, (), self.now()),
            tuple(scope.split()),
            aud="api://other",
        )

    def org_token(self) -> str:
        """A token of the org's own server: signed with keys that it does not publish for others."""
        login = Login(self.app, {}, (), self.now())
        return self.access_token(login, ("openid",), iss=self.at(HOST), aud=self.at(HOST))

    def _metadata(self, _: Asked) -> Reply:
        return json_reply(
            200,
            {
                "issuer": self.at(SERVER),
                "authorization_endpoint": self.at(AUTHORIZE),
                "token_endpoint": self.at(TOKEN),
                "userinfo_endpoint": self.at(USERINFO),
                "jwks_uri": self.at(KEYS),
                "revocation_endpoint": self.at(REVOKE),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access"],
            },
        )

    def _userinfo(self, asked: Asked) -> Reply:
        login = self.holder(asked.bearer())
        if login is None or "openid" not in login.scopes:
            return json_reply(401, {}, **{"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return json_reply(200, {"sub": self.user_id, **self.profile, "groups": list(self.groups)})

    def _revoke(self, asked: Asked) -> Reply:
        app, token = self.authenticate(asked), asked.form.get("token", "")
        login = self.tokens.refresh.get(token) or self.tokens.access.get(token)
        if login is not None and login.app is app:
            login.is_ended = True
        return json_reply(200, {})
