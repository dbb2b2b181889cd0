"""WorkOS Connect: OAuth applications of an AuthKit domain, as documented.

Sources: workos.com/docs/reference/workos-connect, "authorize" (nonce, scopes), "token" (client id and secret in the
body; claims of ID and access token), /docs/authkit/connect/token-claims (aud is the environment unless a resource is
named; client_id is the application, of M2M tokens too; org_id is in the access token), /docs/authkit/sessions (a
session's tokens: another kind; here taken to have the same keys and, under a custom domain, the same issuer).
"""

import secrets
from collections.abc import Mapping
from typing import Any

from tests.support.tokens import SigningPair, issue
from tests.support.vendors.grants import App, AuthorizationServer, Fault, Login
from tests.support.vendors.wire import Asked, Reply, json_reply

__all__ = ["WorkOS"]

HOST = "acme.authkit.app"
AUTHORIZE, TOKEN, USERINFO, KEYS = (f"{HOST}/oauth2/{name}" for name in ("authorize", "token", "userinfo", "jwks"))
METADATA = f"{HOST}/.well-known/oauth-authorization-server"
_LIFE_S = 300
_SCOPES = frozenset(("openid", "profile", "email", "offline_access"))
_WORDS: Mapping[Fault, tuple[int, str, str]] = {
    Fault.UNKNOWN_CLIENT: (401, "invalid_client", "Client authentication failed."),
    Fault.WRONG_SECRET: (401, "invalid_client", "Client authentication failed."),
    Fault.WRONG_METHOD: (401, "invalid_client", "Client authentication failed."),
    Fault.BAD_CODE: (400, "invalid_grant", "The code has expired or is invalid."),
    Fault.USED_CODE: (400, "invalid_grant", "The code has expired or is invalid."),
    Fault.BAD_REDIRECT: (400, "invalid_grant", "The redirect URI is another one."),
    Fault.BAD_VERIFIER: (400, "invalid_grant", "The code verifier is invalid."),
    Fault.BAD_REFRESH_TOKEN: (400, "invalid_grant", "The refresh token has expired or is invalid."),
    Fault.BAD_GRANT_TYPE: (400, "unsupported_grant_type", "The grant type is not supported."),
    Fault.BAD_REQUEST: (400, "invalid_request", "The request is malformed."),
}


class WorkOS(AuthorizationServer):
    """One environment."""

    hosts = (HOST,)
    methods = frozenset(("client_secret_post",))

    def __init__(self, pair: SigningPair) -> None:
        super().__init__(pair, App("client_01JP8BD0CZ401TDF9X54NT5ZEK"), App("client_01OTHER", "other"))
        self.rotates = True
        self.environment = "client_01ENVIRONMENT"
        self.named_client: str | None = ""
        """What access tokens say in client_id; empty: the application, None: they lack it."""
        self.user_id = "user_01JQ0E27VT3MH79RY0FVA4QBP9"
        self.organization = "org_01HRDMC6CM357W30QMHMQ96Q0S"
        self.profile = {"name": "Alice Example", "given_name": "Alice", "family_name": "Example"}
        self.email = {"email": "alice@example.com", "email_verified": True}
        self.routes = {
            ("GET", METADATA): self._metadata,
            ("GET", KEYS): lambda _: json_reply(200, {"keys": [pair.jwk()]}),
            ("GET", AUTHORIZE): self.authorize,
            ("POST", TOKEN): self.token,
            ("GET", USERINFO): self._userinfo,
        }

    def fault(self, fault: Fault) -> Reply:
        status, error, description = _WORDS[fault]
        return json_reply(status, {"error": error, "error_description": description})

    def check_authorization(self, query: Mapping[str, str]) -> None:
        if not query.get("nonce") or not query.get("scope"):
            raise self.send_back(query, "invalid_request", "nonce and scope are required.")
        if set(query["scope"].split()) - _SCOPES:
            raise self.send_back(query, "invalid_scope", "The scope is none of this application's.")

    def gives_refresh_token(self, login: Login) -> bool:
        return "offline_access" in login.scopes

    def members(self, login: Login, form: Mapping[str, str], *, at_refresh: bool) -> dict[str, Any]:
        now = int(self.now())
        claims: dict[str, Any] = {
            "iss": self.at(HOST),
            "aud": self.environment,
            "sub": self.user_id,
        }
        claims |= {} if self.named_client is None else {"client_id": self.named_client or login.app.id}
        claims |= {"org_id": self.organization, "sid": "app_consent_01", "scope": " ".join(login.scopes)}
        claims |= {"jti": secrets.token_hex(8), "iat": now, "exp": now + _LIFE_S}
        access_token = self.remember(issue(self.pair, claims, typ="JWT"), login)
        members = {"access_token": access_token, "token_type": "Bearer", "expires_in": _LIFE_S}
        if "openid" in login.scopes:
            members["id_token"] = self.id_token(login, {"iss": self.at(HOST), **self._claims(login)}, access_token)
        return members

    def token_reply(self, asked: Asked, members: Mapping[str, Any]) -> Reply:
        return json_reply(200, members)

    def machine_token(self) -> str:
        """Of an M2M application, for itself."""
        return self._issued(self.other.id, self.other.id)

    def session_token(self) -> str:
        """Of a user's session in the environment's own application, with the AuthKit domain as issuer."""
        return self._issued(self.user_id, None)

    def _issued(self, subject: str, client_id: str | None) -> str:
        now = int(self.now())
        claims = {"iss": self.at(HOST), "aud": self.environment, "sub": subject, "org_id": self.organization}
        claims |= {} if client_id is None else {"client_id": client_id}
        return issue(self.pair, {**claims, "jti": secrets.token_hex(8), "iat": now, "exp": now + _LIFE_S}, typ="JWT")

    def _claims(self, login: Login) -> dict[str, Any]:
        profile = self.profile if "profile" in login.scopes else {}
        return {"sub": self.user_id, **profile, **(self.email if "email" in login.scopes else {})}

    def _metadata(self, _: Asked) -> Reply:
        # It names no userinfo.
        return json_reply(
            200,
            {
                "issuer": self.at(HOST),
                "authorization_endpoint": self.at(AUTHORIZE),
                "token_endpoint": self.at(TOKEN),
                "jwks_uri": self.at(KEYS),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
                "response_types_supported": ["code"],
                "scopes_supported": ["email", "offline_access", "openid", "profile"],
            },
        )

    def _userinfo(self, asked: Asked) -> Reply:
        login = self.holder(asked.bearer())
        if login is None:
            return json_reply(401, {"error": "invalid_token", "error_description": "The access token is not valid."})
        return json_reply(200, self._claims(login))
