"""Endpoints that say what a token is, as strict as the real ones, on a real socket."""

import base64
import json
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from tests.support.fake_issuer import Behaviour, FakeIssuer

__all__ = ["APP_TOKEN_PATH", "INTROSPECTION_PATH", "TOKENINFO_PATH", "USERINFO_PATH", "Oracle"]

INTROSPECTION_PATH = "/introspection"
USERINFO_PATH = "/userinfo"
TOKENINFO_PATH = "/tokeninfo"
APP_TOKEN_PATH = "/applications/our%2Fclient/token"
_FORM = "application/x-www-form-urlencoded"
Reply = tuple[int, str, bytes]


def _json(status: int, document: Mapping[str, Any]) -> Reply:
    return status, "application/json; charset=utf-8", json.dumps(document).encode()


class Oracle(FakeIssuer):
    """A context manager. It knows some tokens; everything may be changed while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, dict[str, Any]] = {}
        """What is said of each good token."""
        self.client = ("our/client", "s3cret:+%é")
        self.authorization = "Basic " + base64.b64encode(b"our%2Fclient:s3cret%3A%2B%25%C3%A9").decode()
        """RFC 6749 section 2.3.1: form-encoded before base64."""
        self.replies: dict[str, Reply] = {}
        """Take the place of the right answer at a path."""
        self.asked: list[tuple[str, str, bytes]] = []
        """Method, path with query, and body."""
        self._server.RequestHandlerClass = _with_post(self, self._server.RequestHandlerClass)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers one request."""
        path = handler.path
        # Before anything else: what is left of a body would begin the next request on the connection.
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        if path.startswith("/.well-known") or self.behaviours.get(path, Behaviour.NORMAL) is not Behaviour.NORMAL:
            super().answer(handler)
            return
        self.asked.append((handler.command, path, body))
        self.on_request(path)
        status, content_type, content = self.replies.get(path) or self._reply(handler, body)
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _reply(self, handler: BaseHTTPRequestHandler, body: bytes) -> Reply:
        sent = {name.lower(): value for name, value in handler.headers.items()}
        match handler.command, handler.path:
            case "POST", "/introspection":
                return self._introspection(sent, body)
            case "GET", "/userinfo":
                scheme, _, token = sent.get("authorization", "").partition(" ")
                known = self.known.get(token) if scheme == "Bearer" else None
                return (401, "text/plain", b"") if known is None else _json(200, known)
            case "POST", "/tokeninfo":
                return self._tokeninfo(sent, body)
            case "POST", path if path == APP_TOKEN_PATH:
                return self._app_token(sent, body)
        return _json(404, {})

    def _introspection(self, sent: Mapping[str, str], body: bytes) -> Reply:
        form = dict(parse_qsl(body.decode(), strict_parsing=True))
        if sent.get("authorization") != self.authorization and not self._posts_credentials(form):
            return _json(401, {"error": "invalid_client"})
        if sent.get("content-type") != _FORM or form.get("token_type_hint") != "access_token":
            return _json(400, {"error": "invalid_request"})
        return _json(
            200, {"active": True, **self.known[t]} if (t := form["token"]) in self.known else {"active": False}
        )

    def _posts_credentials(self, form: Mapping[str, str]) -> bool:
        return (form.get("client_id"), form.get("client_secret")) == self.client

    def _tokeninfo(self, sent: Mapping[str, str], body: bytes) -> Reply:
        form = dict(parse_qsl(body.decode()))
        if sent.get("content-type") != _FORM or form.get("access_token") not in self.known:
            return _json(400, {"error": "invalid_token", "error_description": "Invalid Value"})
        return _json(200, self.known[form["access_token"]])

    def _app_token(self, sent: Mapping[str, str], body: bytes) -> Reply:
        """GitHub takes id and secret as they are."""
        if sent.get("authorization") != "Basic " + base64.b64encode(":".join(self.client).encode()).decode():
            return _json(401, {"message": "Bad credentials"})
        document = json.loads(body)
        if set(document) != {"access_token"} or sent.get("user-agent") is None:
            return _json(422, {"message": "Validation Failed"})
        known = self.known.get(document["access_token"])
        return _json(404, {"message": "Not Found"}) if known is None else _json(200, known)


def _with_post(oracle: Oracle, plain: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(plain):  # type: ignore[misc]
        def do_POST(self) -> None:  # noqa: N802 - the name is the base class's
            try:
                oracle.answer(self)
            except OSError:
                self.close_connection = True

    return Handler
