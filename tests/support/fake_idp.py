"""An identity provider on a real socket that is strict with its client and can misbehave in the ways of real ones."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from tests.support.fake_issuer import Behaviour, FakeIssuer
from tests.support.tokens import SigningPair, issue

__all__ = ["ABSENT", "AUTHORIZATION_PATH", "REVOCATION_PATH", "TOKEN_PATH", "USERINFO_PATH", "Call", "FakeIdp", "Login"]

AUTHORIZATION_PATH = "/authorization"
TOKEN_PATH = "/token"
USERINFO_PATH = "/userinfo"
REVOCATION_PATH = "/revocation"
ABSENT = object()
"""For a member that is to be left out."""
_CODE_S = 60
_FORM = "application/x-www-form-urlencoded"
_ANSWERED = {AUTHORIZATION_PATH, TOKEN_PATH, USERINFO_PATH, REVOCATION_PATH}


@dataclass(frozen=True, slots=True)
class Call:
    """What came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    form: Mapping[str, str]


@dataclass(slots=True)
class Login:
    """What a user agreed to; the tokens of one login share it."""

    challenge: str
    """code_challenge of S256."""
    nonce: str | None
    scope: str
    redirect_uri: str
    subject: str
    at: float
    used: bool = False
    revoked: bool = False


@dataclass(slots=True)
class Client:
    """Our client there."""

    id: str = "postern-client"
    secret: str = "s3cret:with%and+é"
    auth_method: str = "client_secret_basic"
    redirect_uri: str = "https://mcp.example.com/oauth/callback"


class _RefusedError(Exception):
    """Raised with an OAuth error code and a status."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.status = error, status


@dataclass(slots=True)
class _State:
    logins: dict[str, Login] = field(default_factory=dict)
    """By code."""
    refresh_tokens: dict[str, Login] = field(default_factory=dict)
    retired: dict[str, Login] = field(default_factory=dict)
    access_tokens: dict[str, Login] = field(default_factory=dict)
    id_tokens: list[str] = field(default_factory=list)


class FakeIdp(FakeIssuer):
    """A context manager; everything may be changed while it runs."""

    def __init__(self, pair: SigningPair, *, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.pair = pair
        self.keys = [pair.jwk()]
        self.now = now
        self.client = Client()
        self.calls: list[Call] = []
        self.audience = "https://mcp.example.com/mcp"
        """aud of access tokens."""
        self.accepted: set[str] = set()
        """Parameters of the token endpoint that are taken besides its own, such as resource and scope."""
        self.rotates = True
        self.detects_reuse = False
        """A second use of a rotated refresh token ends the login."""
        self.gives_refresh_token = True
        self.gives_id_token = True
        self.id_token_at_refresh = False
        self.opaque = False
        self.form_encoded = False
        self.errors_under_200 = False
        self.error_description = ""
        """Put into errors; ``{code}`` and the like stand for parameters of the request."""
        self.content_type: str | None = None
        """None: the right one."""
        self.answer_members: dict[str, Any] = {}
        """Replace members of token answers; ABSENT leaves one out."""
        self.access_claims: dict[str, Any] = {}
        self.id_claims: dict[str, Any] = {}
        self.user_claims: dict[str, Any] = {"email": "alice@example.com"}
        """Of userinfo."""
        self.sign_id_token: Callable[[dict[str, Any]], str] = lambda claims: issue(self.pair, claims, typ="JWT")
        self.state = _State()
        endpoints = {name: self.origin + f"/{name}" for name in ("userinfo", "revocation")}
        self.metadata = {f"{name}_endpoint": url for name, url in endpoints.items()}
        self._server.RequestHandlerClass = _with_post(self, self._server.RequestHandlerClass)
        self._server.socket.listen(128)

    def log_in(self, challenge: str, *, nonce: str | None = None, **changes: Any) -> str:
        """A user logs in and agrees; gives the code."""
        code = secrets.token_urlsafe(24)
        agreed: dict[str, Any] = {"scope": "openid mcp:read", "redirect_uri": self.client.redirect_uri}
        self.state.logins[code] = Login(challenge, nonce, at=self.now(), **{"subject": "alice", **agreed, **changes})
        return code

    def calls_to(self, path: str) -> list[Call]:
        """What came to a path."""
        return [call for call in self.calls if call.path == path]

    def secrets(self) -> set[str]:
        """All that nobody but the two sides may see."""
        state = self.state
        tokens = (*state.logins, *state.refresh_tokens, *state.retired, *state.access_tokens, *state.id_tokens)
        return {*tokens, self.client.secret}

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers one request."""
        path, _, query = handler.path.partition("?")
        body = handler.rfile.read(int(handler.headers.get("content-length", "0"))).decode()
        form = parse_qsl(body or query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.calls.append(Call(handler.command, path, headers, dict(form)))
        if path not in _ANSWERED or self.behaviours.get(path, Behaviour.NORMAL) is not Behaviour.NORMAL:
            super().answer(handler)
            return
        self.on_request(path)
        try:
            _check_unique(form)
            self._serve(handler, self.calls[-1])
        except _RefusedError as refused:
            self._refuse(handler, refused, dict(form))

    def _serve(self, handler: BaseHTTPRequestHandler, call: Call) -> None:
        match call.path:
            case "/authorization":
                self._authorize(handler, call.form)
            case "/userinfo":
                self._userinfo(handler, call)
            case "/revocation":
                self._authenticate(call)
                self._revoke(call.form.get("token", ""))
                self._send(handler, 200, b"", "text/plain")
            case _:
                if call.method != "POST" or call.headers.get("content-type") != _FORM:
                    raise _RefusedError("invalid_request")
                self._authenticate(call)
                members = self._members(self._redeemed(call.form), with_nonce="code" in call.form)
                self._send_members(handler, 200, members)

    def _authorize(self, handler: BaseHTTPRequestHandler, query: Mapping[str, str]) -> None:
        """Approves at once."""
        expected = {"response_type": "code", "client_id": self.client.id, "redirect_uri": self.client.redirect_uri}
        if any(query.get(name) != value for name, value in expected.items()):
            raise _RefusedError("invalid_request")
        if query.get("code_challenge_method") != "S256" or not query.get("state"):
            raise _RefusedError("invalid_request")
        code = self.log_in(query["code_challenge"], nonce=query.get("nonce"), scope=query.get("scope", ""))
        location = f"{self.client.redirect_uri}?{urlencode({'code': code, 'state': query['state']})}"
        self._send(handler, 302, b"", "text/plain", location=location)

    def _authenticate(self, call: Call) -> None:
        """Takes the configured method alone, and that exactly (RFC 6749 section 2.3.1)."""
        client, form = self.client, call.form
        pair = (form.get("client_id"), form.get("client_secret"))
        authorization = call.headers.get("authorization")
        match client.auth_method:
            case "client_secret_basic":
                scheme, _, encoded = (authorization or "").partition(" ")
                user, _, password = base64.b64decode(encoded).decode().partition(":")
                basic = (unquote_plus(user), unquote_plus(password))
                good = scheme == "Basic" and basic == (client.id, client.secret) and pair == (None, None)
            case "client_secret_post":
                good = authorization is None and pair == (client.id, client.secret)
            case _:
                good = authorization is None and pair == (client.id, None)
        if not good:
            raise _RefusedError("invalid_client", 401)

    def _redeemed(self, form: Mapping[str, str]) -> tuple[Login, str | None]:
        """The login, and a new refresh token if there is one."""
        kinds = {
            "authorization_code": ({"code", "redirect_uri", "code_verifier"}, self._login_of_code),
            "refresh_token": ({"refresh_token"}, self._login_of_refresh_token),
        }
        needed, find = kinds.get(form.get("grant_type", ""), (set(), None))
        if find is None:
            raise _RefusedError("unsupported_grant_type")
        given = set(form) - {"grant_type", "client_id", "client_secret"} - self.accepted
        if given != needed:
            raise _RefusedError("invalid_request")
        return find(form)

    def _login_of_code(self, form: Mapping[str, str]) -> tuple[Login, str | None]:
        login = self.state.logins.get(form["code"])
        if login is None or self.now() - login.at > _CODE_S:
            raise _RefusedError("invalid_grant")
        if login.used:
            # RFC 6749 section 4.1.2: what the first use gave should end.
            login.revoked = True
            raise _RefusedError("invalid_grant")
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != login.challenge or form["redirect_uri"] != login.redirect_uri:
            raise _RefusedError("invalid_grant")
        login.used = True
        return login, self._new_refresh_token(login) if self.gives_refresh_token else None

    def _login_of_refresh_token(self, form: Mapping[str, str]) -> tuple[Login, str | None]:
        token = form["refresh_token"]
        if token in self.state.retired and self.detects_reuse:
            self.state.retired[token].revoked = True
        login = self.state.refresh_tokens.get(token)
        if login is None or login.revoked:
            raise _RefusedError("invalid_grant")
        if not self.rotates:
            return login, None
        self.state.retired[token] = self.state.refresh_tokens.pop(token)
        return login, self._new_refresh_token(login)

    def _new_refresh_token(self, login: Login) -> str:
        token = "refresh-" + secrets.token_urlsafe(32)
        self.state.refresh_tokens[token] = login
        return token

    def _members(self, redeemed: tuple[Login, str | None], *, with_nonce: bool) -> dict[str, Any]:
        login, refresh_token = redeemed
        now = int(self.now())
        common = {"iss": self.issuer, "sub": login.subject, "iat": now, "exp": now + 3600}
        members: dict[str, Any] = {"access_token": self._access_token(login, common), "token_type": "Bearer"}
        members |= {"expires_in": 3600, "scope": login.scope}
        if refresh_token is not None:
            members["refresh_token"] = refresh_token
        if self.gives_id_token and (with_nonce or self.id_token_at_refresh):
            nonce = {"nonce": login.nonce} if with_nonce and login.nonce is not None else {}
            claims = {**common, "aud": self.client.id, **nonce, "name": "Alice", **self.id_claims}
            members["id_token"] = self.sign_id_token({k: v for k, v in claims.items() if v is not ABSENT})
            self.state.id_tokens.append(members["id_token"])
        members |= self.answer_members
        return {name: value for name, value in members.items() if value is not ABSENT}

    def _access_token(self, login: Login, common: Mapping[str, Any]) -> str:
        claims = {**common, "aud": self.audience, "client_id": self.client.id, "scope": login.scope}
        claims |= {"jti": secrets.token_urlsafe(8), **self.access_claims}
        token = "opaque-" + secrets.token_urlsafe(24)
        if not self.opaque:
            token = issue(self.pair, {name: value for name, value in claims.items() if value is not ABSENT})
        self.state.access_tokens[token] = login
        return token

    def _userinfo(self, handler: BaseHTTPRequestHandler, call: Call) -> None:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        login = self.state.access_tokens.get(token)
        if scheme != "Bearer" or login is None or login.revoked:
            raise _RefusedError("invalid_token", 401)
        self._send_members(handler, 200, {"sub": login.subject, **self.user_claims})

    def _revoke(self, token: str) -> None:
        for tokens in (self.state.refresh_tokens, self.state.access_tokens):
            if token in tokens:
                tokens.pop(token).revoked = True

    def _refuse(self, handler: BaseHTTPRequestHandler, refused: _RefusedError, form: Mapping[str, str]) -> None:
        members = {"error": refused.error}
        if self.error_description:
            members["error_description"] = self.error_description.format_map(form)
        self._send_members(handler, 200 if self.errors_under_200 else refused.status, members)

    def _send_members(self, handler: BaseHTTPRequestHandler, status: int, members: Mapping[str, Any]) -> None:
        if self.form_encoded:
            self._send(handler, status, urlencode(members).encode(), self.content_type or _FORM)
        else:
            self._send(handler, status, json.dumps(members).encode(), self.content_type or "application/json")

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, content_type: str, **headers: str
    ) -> None:
        handler.send_response(status)
        fixed = {"Content-Type": content_type, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        for name, value in {**fixed, **headers, **self.headers}.items():
            handler.send_header(name, value)
        # In one piece with the head: a second small packet would wait for the acknowledgement of the first.
        buffer: list[bytes] = getattr(handler, "_headers_buffer")  # noqa: B009 - untyped
        buffer.append(b"\r\n" + body)
        handler.flush_headers()


def _check_unique(form: list[tuple[str, str]]) -> None:
    if len({name for name, _ in form}) != len(form):
        raise _RefusedError("invalid_request")


def _with_post(idp: FakeIdp, plain: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(plain):  # type: ignore[misc]
        def do_POST(self) -> None:  # noqa: N802 - the name is the base class's
            try:
                idp.answer(self)
            except OSError:
                self.close_connection = True

    return Handler
