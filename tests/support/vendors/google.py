"""Google's OAuth 2.0 and OpenID Connect, as documented.

Sources: developers.google.com/identity/protocols/oauth2/web-server (parameters, access_type, prompt, refresh tokens,
redirect_uri_mismatch), /identity/openid-connect/openid-connect (hosts, ID token, hd), Google's answers as quoted in
traefikoidc issue 44 (scopes that it does not know), google-auth-library's TokenInfo (members of tokeninfo).
"""

import secrets
from collections.abc import Mapping
from typing import Any

from tests.support.tokens import SigningPair
from tests.support.vendors.grants import App, AuthorizationServer, Fault, Login
from tests.support.vendors.wire import Asked, RefusedError, Reply, json_reply, page

__all__ = ["Google"]

AUTHORIZE = "accounts.google.com/o/oauth2/v2/auth"
TOKEN = "oauth2.googleapis.com/token"
TOKENINFO = "oauth2.googleapis.com/tokeninfo"
REVOKE = "oauth2.googleapis.com/revoke"
USERINFO = "openidconnect.googleapis.com/v1/userinfo"
KEYS = "www.googleapis.com/oauth2/v3/certs"
METADATA = "accounts.google.com/.well-known/openid-configuration"
_LIFE_S = 3599
_URIS = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}
"""The short forms are granted, and named, as these."""
_WORDS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.UNKNOWN_CLIENT: (401, "invalid_client", "The OAuth client was not found."),
    Fault.WRONG_SECRET: (401, "invalid_client", "The provided client secret is invalid."),
    Fault.WRONG_METHOD: (400, "invalid_request", "Could not determine client ID from request."),
    Fault.BAD_CODE: (400, "invalid_grant", "Malformed auth code."),
    Fault.USED_CODE: (400, "invalid_grant", "Bad Request"),
    Fault.BAD_REDIRECT: (400, "redirect_uri_mismatch", "Bad Request"),
    Fault.BAD_VERIFIER: (400, "invalid_grant", "Invalid code verifier."),
    Fault.BAD_REFRESH_TOKEN: (400, "invalid_grant", "Token has been expired or revoked."),
    Fault.BAD_GRANT_TYPE: (400, "unsupported_grant_type", "Invalid grant_type: "),
    Fault.BAD_REQUEST: (400, "invalid_request", "Invalid request."),
}


class Google(AuthorizationServer):
    """Access tokens are opaque; a refresh token comes with offline access, after the first login only with consent."""

    hosts = ("accounts.google.com", "oauth2.googleapis.com")

    def __init__(self, pair: SigningPair) -> None:
        super().__init__(pair, App("1234.apps.googleusercontent.com"), App("99.apps.googleusercontent.com", "other"))
        self.user = {"sub": "10769150350006150715113082367", "email": "alice@example.com", "email_verified": True}
        self.profile = {"name": "Alice Example", "given_name": "Alice", "picture": "https://lh3.example.com/a"}
        self.organization = {"hd": "example.com"}
        self.id_token_issuer = self.at("accounts.google.com")
        """ID tokens name it with or without https."""
        self.sends_iss = False
        self._consented: set[str] = set()
        self.routes = {
            ("GET", METADATA): self._metadata,
            ("GET", KEYS): lambda _: json_reply(200, {"keys": [pair.jwk()]}),
            ("GET", AUTHORIZE): self.authorize,
            ("POST", TOKEN): self.token,
            ("POST", TOKENINFO): self._tokeninfo,
            ("GET", TOKENINFO): self._tokeninfo,
            ("GET", USERINFO): self._userinfo,
            ("POST", REVOKE): self._revoke,
        }

    def fault(self, fault: Fault) -> Reply:
        status, error, description = _WORDS[fault]
        return json_reply(status, {"error": error, "error_description": description})

    def callback_members(self) -> dict[str, str]:
        said = {"scope": "openid", "authuser": "0", "prompt": "consent"}
        return said | ({"iss": self.at("accounts.google.com")} if self.sends_iss else {})

    def check_authorization(self, query: Mapping[str, str]) -> None:
        if query.get("access_type", "online") not in ("online", "offline"):
            raise RefusedError(page(400, "Invalid access_type"))
        if "approval_prompt" in query and "prompt" in query:
            raise RefusedError(page(400, "Conflict params: approval_prompt and prompt"))
        scopes = query.get("scope", "").split()
        invalid = [scope for scope in scopes if scope not in ("openid", *_URIS) and "://" not in scope]
        if invalid or not scopes:
            raise RefusedError(page(400, f"Some requested scopes were invalid. {{invalid={invalid}}}"))

    def granted(self, query: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(_URIS.get(scope, scope) for scope in query["scope"].split())

    def gives_refresh_token(self, login: Login) -> bool:
        is_first = login.app.id not in self._consented
        self._consented.add(login.app.id)
        return login.query.get("access_type") == "offline" and (is_first or login.query.get("prompt") == "consent")

    def members(self, login: Login, form: Mapping[str, str], *, at_refresh: bool) -> dict[str, Any]:
        access_token = self.remember("ya29." + secrets.token_urlsafe(40), login)
        members = {"access_token": access_token, "expires_in": _LIFE_S, "token_type": "Bearer"}
        members |= {"scope": " ".join(login.scopes)}
        if "openid" in login.scopes:
            claims = {"iss": self.id_token_issuer, "azp": login.app.id, **self._claims(login), **self.organization}
            members["id_token"] = self.id_token(login, claims, access_token)
        return members

    def token_reply(self, asked: Asked, members: Mapping[str, Any]) -> Reply:
        return json_reply(200, members)

    def _claims(self, login: Login) -> dict[str, Any]:
        email = self.user if _URIS["email"] in login.scopes else {"sub": self.user["sub"]}
        return {**email, **(self.profile if _URIS["profile"] in login.scopes else {})}

    def _metadata(self, _: Asked) -> Reply:
        return json_reply(
            200,
            {
                "issuer": self.at("accounts.google.com"),
                "authorization_endpoint": self.at(AUTHORIZE),
                "token_endpoint": self.at(TOKEN),
                "userinfo_endpoint": self.at(USERINFO),
                "revocation_endpoint": self.at(REVOKE),
                "jwks_uri": self.at(KEYS),
                "response_types_supported": ["code", "token", "id_token", "none"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "code_challenge_methods_supported": ["plain", "S256"],
            },
        )

    def _tokeninfo(self, asked: Asked) -> Reply:
        login = self.holder(asked.form.get("access_token") or asked.query.get("access_token", ""))
        if login is None:
            return json_reply(400, {"error": "invalid_token", "error_description": "Invalid Value"})
        members = {"azp": login.app.id, "aud": login.app.id, "sub": self.user["sub"], "scope": " ".join(login.scopes)}
        members |= {"exp": str(int(self.now()) + _LIFE_S), "expires_in": str(_LIFE_S)}
        if _URIS["email"] in login.scopes:
            members |= {"email": self.user["email"], "email_verified": "true"}
        return json_reply(200, members | {"access_type": login.query.get("access_type", "online")})

    def _userinfo(self, asked: Asked) -> Reply:
        login = self.holder(asked.bearer())
        if login is None:
            return json_reply(401, {"error": "invalid_request", "error_description": "Invalid Credentials"})
        return json_reply(200, self._claims(login))

    def _revoke(self, asked: Asked) -> Reply:
        token = asked.form.get("token", "")
        login = self.tokens.refresh.get(token) or self.tokens.access.get(token)
        if login is None or login.is_ended:
            return json_reply(400, {"error": "invalid_token", "error_description": "Token expired or revoked"})
        login.is_ended = True
        return json_reply(200, {})
