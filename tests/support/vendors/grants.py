"""What all vendors have in common: applications, codes and refresh tokens, and the order in which they are checked."""

import base64
import binascii
import hashlib
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from tests.support.tokens import SigningPair, issue
from tests.support.vendors.wire import Asked, RefusedError, Reply, Vendor, page, redirect

__all__ = ["CALLBACK", "App", "AuthorizationServer", "Fault", "Login"]

CALLBACK = "https://mcp.example.com/oauth/callback"
_SECRET = "shhh:with%and+plus"


@dataclass(slots=True)
class App:
    """An application that is registered at the vendor."""

    id: str
    secret: str = _SECRET
    redirect_uri: str = CALLBACK


@dataclass(slots=True)
class Login:
    """What a user agreed to; all tokens that come of it share it."""

    app: App
    query: Mapping[str, str]
    """Of the authorization request."""
    scopes: tuple[str, ...]
    """Granted."""
    at: float
    is_used: bool = False
    is_ended: bool = False
    """By the user, or an administrator."""


class Fault(StrEnum):
    """What can be wrong with a token request; each vendor has its own words for it."""

    UNKNOWN_CLIENT = "unknown_client"
    WRONG_SECRET = "wrong_secret"
    WRONG_METHOD = "wrong_method"
    """The client authenticates otherwise than it is registered, or in two ways."""
    BAD_CODE = "bad_code"
    """Unknown, expired or another client's."""
    USED_CODE = "used_code"
    BAD_REDIRECT = "bad_redirect"
    BAD_VERIFIER = "bad_verifier"
    BAD_REFRESH_TOKEN = "bad_refresh_token"
    BAD_GRANT_TYPE = "bad_grant_type"
    BAD_REQUEST = "bad_request"


@dataclass(slots=True)
class _Tokens:
    codes: dict[str, Login] = field(default_factory=dict)
    refresh: dict[str, Login] = field(default_factory=dict)
    retired: dict[str, float] = field(default_factory=dict)
    """Refresh tokens that were rotated, and when."""
    access: dict[str, Login] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    """ID tokens."""


class AuthorizationServer(Vendor, ABC):
    """A vendor whose users always log in at once."""

    methods: ClassVar[frozenset[str]] = frozenset(("client_secret_post", "client_secret_basic"))
    """How applications may authenticate."""
    code_life_s: ClassVar[float] = 600
    rotation_grace_s: ClassVar[float] = 0

    def __init__(self, pair: SigningPair, app: App, other: App) -> None:
        super().__init__(pair)
        self.app = app
        """Ours."""
        self.other = other
        """Another one, of somebody else."""
        self.tokens = _Tokens()
        self.rotates = False
        self.user_refuses = False

    @property
    def secrets(self) -> set[str]:
        """All that nobody but the two sides may see."""
        kept = self.tokens
        return {*kept.codes, *kept.refresh, *kept.access, *kept.ids, self.app.secret}

    def end_logins(self) -> None:
        """The user, or an administrator, takes back every agreement."""
        for login in (*self.tokens.codes.values(), *self.tokens.refresh.values(), *self.tokens.access.values()):
            login.is_ended = True

    def foreign_token(self, scope: str) -> str:
        """An access token that a user gave to the other application for the same scope."""
        query = {"scope": scope, "nonce": "n", "redirect_uri": self.other.redirect_uri}
        login = Login(self.other, query, tuple(scope.split()), self.now())
        return str(self.members(login, {}, at_refresh=False)["access_token"])

    @abstractmethod
    def fault(self, fault: Fault) -> Reply:
        """How the token endpoint words it."""

    @abstractmethod
    def members(self, login: Login, form: Mapping[str, str], *, at_refresh: bool) -> dict[str, Any]:
        """The token answer but for refresh_token."""

    @abstractmethod
    def gives_refresh_token(self, login: Login) -> bool:
        """Whether a code gives one."""

    def granted(self, query: Mapping[str, str]) -> tuple[str, ...]:
        """The scopes of those asked for that are granted; raises RefusedError."""
        return tuple(query.get("scope", "").split())

    def check_authorization(self, query: Mapping[str, str]) -> None:
        """Raises RefusedError for what this vendor refuses at its authorization endpoint."""

    def check_token_request(self, login: Login, form: Mapping[str, str]) -> None:
        """Raises RefusedError for what this vendor refuses at its token endpoint."""

    def callback_members(self) -> dict[str, str]:
        """What comes back beside code and state."""
        return {}

    def wrong_redirect(self, app: App) -> Reply:
        """The answer to a redirect URI that is not registered."""
        return page(400, f"redirect_uri is not registered for {app.id}")

    def send_back(self, query: Mapping[str, str], error: str, description: str) -> RefusedError:
        """The redirect that says what is wrong."""
        self.said.append(description)
        state = {"state": query["state"]} if "state" in query else {}
        return RefusedError(
            redirect(query["redirect_uri"], {"error": error, "error_description": description, **state})
        )

    def authorize(self, asked: Asked) -> Reply:
        """The authorization endpoint, with the login page answered."""
        query = asked.query
        app = next((app for app in (self.app, self.other) if app.id == query.get("client_id")), None)
        if app is None:
            return page(400, "no such client")
        if query.get("redirect_uri") != app.redirect_uri:
            return self.wrong_redirect(app)
        if query.get("response_type") != "code":
            raise self.send_back(query, "unsupported_response_type", "response_type must be code")
        if query.get("code_challenge_method") != "S256" or len(query.get("code_challenge", "")) != 43:
            raise self.send_back(query, "invalid_request", "PKCE with S256 is needed")
        self.check_authorization(query)
        if self.user_refuses:
            raise self.send_back(query, "access_denied", "The user did not consent, said the vendor.")
        code = "code-" + secrets.token_urlsafe(24)
        self.tokens.codes[code] = Login(app, dict(query), self.granted(query), self.now())
        return redirect(app.redirect_uri, {"code": code, "state": query["state"], **self.callback_members()})

    def token(self, asked: Asked) -> Reply:
        """The token endpoint."""
        app = self.authenticate(asked)
        match asked.form.get("grant_type"):
            case "authorization_code":
                login = self._login_of_code(app, asked.form)
                self.check_token_request(login, asked.form)
                login.is_used = True
                fresh = self._new_refresh_token(login) if self.gives_refresh_token(login) else None
            case "refresh_token":
                login = self._login_of_refresh_token(app, asked.form)
                self.check_token_request(login, asked.form)
                fresh = self._rotated(asked.form["refresh_token"], login)
            case _:
                raise RefusedError(self.fault(Fault.BAD_GRANT_TYPE))
        members = self.members(login, asked.form, at_refresh="refresh_token" in asked.form)
        return self.token_reply(asked, members | ({"refresh_token": fresh} if fresh else {}))

    @abstractmethod
    def token_reply(self, asked: Asked, members: Mapping[str, Any]) -> Reply:
        """The answer that carries tokens."""

    def authenticate(self, asked: Asked) -> App:
        """The application that asks; raises RefusedError."""
        name, secret, method = _credentials(asked)
        app = next((app for app in (self.app, self.other) if app.id == name), None)
        if method not in self.methods:
            raise RefusedError(self.fault(Fault.WRONG_METHOD))
        if app is None:
            raise RefusedError(self.fault(Fault.UNKNOWN_CLIENT))
        if secret != app.secret:
            raise RefusedError(self.fault(Fault.WRONG_SECRET))
        return app

    def remember(self, token: str, login: Login) -> str:
        """An access token that the vendor can look up."""
        self.tokens.access[token] = login
        return token

    def holder(self, token: str) -> Login | None:
        """The login of an access token that is good."""
        login = self.tokens.access.get(token)
        return None if login is None or login.is_ended else login

    def id_token(self, login: Login, claims: Mapping[str, Any], access_token: str, **header: Any) -> str:
        """An ID token (OpenID Connect Core section 2)."""
        now = int(self.now())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        common = {"aud": login.app.id, "iat": now, "exp": now + 3600, "at_hash": _base64url(half)}
        nonce = {"nonce": login.query["nonce"]} if "nonce" in login.query else {}
        self.tokens.ids.append(issue(self.pair, {**common, **nonce, **claims}, **{"typ": "JWT", **header}))
        return self.tokens.ids[-1]

    def _login_of_code(self, app: App, form: Mapping[str, str]) -> Login:
        login = self.tokens.codes.get(form.get("code", ""))
        if login is None or login.app is not app or self.now() - login.at > self.code_life_s or login.is_ended:
            raise RefusedError(self.fault(Fault.BAD_CODE))
        if login.is_used:
            raise RefusedError(self.fault(Fault.USED_CODE))
        if form.get("redirect_uri") != login.query["redirect_uri"]:
            raise RefusedError(self.fault(Fault.BAD_REDIRECT))
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if _base64url(digest) != login.query["code_challenge"]:
            raise RefusedError(self.fault(Fault.BAD_VERIFIER))
        return login

    def _login_of_refresh_token(self, app: App, form: Mapping[str, str]) -> Login:
        token = form.get("refresh_token", "")
        login = self.tokens.refresh.get(token)
        retired_at = self.tokens.retired.get(token)
        is_late = retired_at is not None and self.now() - retired_at >= self.rotation_grace_s
        if login is None or login.app is not app or login.is_ended or is_late:
            if login is not None and is_late:
                # A second use is theft to those who rotate: all that came of the login ends.
                login.is_ended = True
            raise RefusedError(self.fault(Fault.BAD_REFRESH_TOKEN))
        return login

    def _new_refresh_token(self, login: Login) -> str:
        token = "refresh-" + secrets.token_urlsafe(32)
        self.tokens.refresh[token] = login
        return token

    def _rotated(self, token: str, login: Login) -> str | None:
        if not self.rotates:
            return None
        self.tokens.retired.setdefault(token, self.now())
        return self._new_refresh_token(login)


def _credentials(asked: Asked) -> tuple[str, str, str]:
    """The client's id, secret and method (RFC 6749 section 2.3.1)."""
    form, header = asked.form, asked.headers.get("authorization")
    if header is None:
        return form.get("client_id", ""), form.get("client_secret", ""), "client_secret_post"
    scheme, _, encoded = header.partition(" ")
    if scheme != "Basic" or "client_secret" in form:
        return "", "", "two at once"
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", "", "malformed"
    return unquote_plus(name), unquote_plus(secret), "client_secret_basic"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
