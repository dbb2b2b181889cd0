"""GitHub's web application flow for OAuth apps and GitHub Apps, as documented.

Sources: docs.github.com, "Authorizing OAuth apps", "Generating a user access token for a GitHub App", "Refreshing user
access tokens", "Troubleshooting OAuth app access token request errors" (errors), "REST API endpoints for OAuth
authorizations" (check a token: Basic, 404 for tokens that are none of the application), "Getting started with the REST
API" (requests without a User-Agent are refused).
"""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from tests.support.tokens import SigningPair
from tests.support.vendors.grants import App, AuthorizationServer, Fault, Login
from tests.support.vendors.wire import FORM, Asked, Reply, json_reply, redirect

__all__ = ["GitHub"]

AUTHORIZE = "github.com/login/oauth/authorize"
TOKEN = "github.com/login/oauth/access_token"
_LIFE_S = 28_800
_SCOPES = frozenset(("read:user", "user:email", "repo", "read:org", "gist"))
_NOT_FOUND = {"message": "Not Found", "documentation_url": "https://docs.github.com/rest", "status": "404"}
_BAD_CREDENTIALS = {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401"}
_BAD_CODE = "The code passed is incorrect or expired."
_BAD_CLIENT = "The client_id and/or client_secret passed are incorrect."
_WORDS: Mapping[Fault, tuple[str, str]] = {
    Fault.UNKNOWN_CLIENT: ("incorrect_client_credentials", _BAD_CLIENT),
    Fault.WRONG_SECRET: ("incorrect_client_credentials", _BAD_CLIENT),
    Fault.WRONG_METHOD: ("incorrect_client_credentials", _BAD_CLIENT),
    Fault.BAD_CODE: ("bad_verification_code", _BAD_CODE),
    Fault.USED_CODE: ("bad_verification_code", _BAD_CODE),
    Fault.BAD_VERIFIER: ("bad_verification_code", _BAD_CODE),
    Fault.BAD_REDIRECT: ("redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL."),
    Fault.BAD_REFRESH_TOKEN: ("bad_refresh_token", "The refresh token passed is incorrect or expired."),
    Fault.BAD_GRANT_TYPE: ("unsupported_grant_type", "The grant type is not supported."),
    Fault.BAD_REQUEST: ("invalid_request", "The request is malformed."),
}


class GitHub(AuthorizationServer):
    """Errors come with status 200, answers as forms unless JSON is asked for."""

    hosts = ("github.com", "api.github.com", "github.example.com", "acme.ghe.com", "api.acme.ghe.com")

    def __init__(
        self, pair: SigningPair, *, is_github_app: bool = False, web: str = "github.com", api: str = "api.github.com"
    ) -> None:
        """An OAuth app, or a GitHub App whose user tokens expire; web and api: places of an enterprise."""
        super().__init__(pair, App("Iv1.8a61f9b3a7aba766"), App("Iv1.other", "other"))
        self.is_github_app = self.rotates = is_github_app
        self.user = {
            "login": "alice",
            "id": 583231,
            "node_id": "MDQ6VXNlcjU4MzIzMQ==",
            "avatar_url": "https://avatars.example.com/u/583231",
            "url": "https://api.github.com/users/alice",
            "type": "User",
            "site_admin": False,
        }
        self.profile = {"name": "Alice Example", "email": "alice@example.com", "company": None}
        """What only the user's own page has."""
        self.check_place = f"{api}/applications/{self.app.id}/token"
        self.routes = {
            ("GET", f"{web}/login/oauth/authorize"): self.authorize,
            ("POST", f"{web}/login/oauth/access_token"): self.token,
            ("POST", self.check_place): self._check,
            ("GET", f"{api}/user"): self._user,
        }

    def fault(self, fault: Fault) -> Reply:
        error, description = _WORDS[fault]
        return json_reply(200, {"error": error, "error_description": description, "error_uri": "/apps/errors"})

    def wrong_redirect(self, app: App) -> Reply:
        text = "The redirect_uri MUST match the registered callback URL for this application."
        return redirect(app.redirect_uri, {"error": "redirect_uri_mismatch", "error_description": text})

    def granted(self, query: Mapping[str, str]) -> tuple[str, ...]:
        if self.is_github_app:
            # Its rights are permissions of the app; the parameter is ignored.
            return ()
        return tuple(scope for scope in query.get("scope", "").replace(",", " ").split() if scope in _SCOPES)

    def gives_refresh_token(self, login: Login) -> bool:
        return self.is_github_app

    def members(self, login: Login, form: Mapping[str, str], *, at_refresh: bool) -> dict[str, Any]:
        if at_refresh:
            # The old access token ends with the old refresh token.
            self.tokens.access = {token: held for token, held in self.tokens.access.items() if held is not login}
        token = self.remember(("ghu_" if self.is_github_app else "gho_") + secrets.token_hex(18), login)
        members = {"access_token": token, "token_type": "bearer", "scope": ",".join(login.scopes)}
        return members | ({"expires_in": _LIFE_S, "refresh_token_expires_in": 15_897_600} if self.rotates else {})

    def token_reply(self, asked: Asked, members: Mapping[str, Any]) -> Reply:
        if "application/json" in asked.headers.get("accept", ""):
            return json_reply(200, members)
        return Reply(200, urlencode(members).encode(), f"{FORM}; charset=utf-8")

    def _check(self, asked: Asked) -> Reply:
        if not asked.headers.get("user-agent"):
            return Reply(403, b"Request forbidden by administrative rules.")
        pair = base64.b64encode(f"{self.app.id}:{self.app.secret}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {pair}":
            return json_reply(401, _BAD_CREDENTIALS)
        token = json.loads(asked.body).get("access_token")
        if not isinstance(token, str):
            return json_reply(422, {"message": "Validation Failed", "status": "422"})
        login = self.holder(token)
        if login is None or login.app is not self.app:
            return json_reply(404, _NOT_FOUND)
        expires = datetime.fromtimestamp(int(self.now()) + _LIFE_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json_reply(
            200,
            {
                "id": 1,
                "url": "https://api.github.com/authorizations/1",
                "scopes": list(login.scopes),
                "token": token,
                "token_last_eight": token[-8:],
                "app": {"url": "http://mcp.example.com", "name": "Weather", "client_id": self.app.id},
                "note": None,
                "fingerprint": None,
                "created_at": "2026-01-01T00:00:00Z",
                "updated_at": "2026-01-01T00:00:00Z",
                "expires_at": expires if self.is_github_app else None,
                "user": self.user,
            },
        )

    def _user(self, asked: Asked) -> Reply:
        if not asked.headers.get("user-agent"):
            return Reply(403, b"Request forbidden by administrative rules.")
        if self.holder(asked.bearer()) is None:
            return json_reply(401, _BAD_CREDENTIALS)
        return json_reply(200, {**self.user, **self.profile})
