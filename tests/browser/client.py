"""An MCP client that sends its user to the browser and waits at its redirect URI for the answer."""

import base64
import hashlib
import queue
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx

from tests.browser.stage import Sidecar

ANSWER_TIMEOUT_S = 15.0
SCOPE = "weather:read"
ARRIVED = "You are logged in"
"""Heading of the page that the client shows in the end."""


class Listener:
    """Redirect URIs on loopback, each with what came there."""

    def __init__(self) -> None:
        self._answers: dict[str, queue.Queue[dict[str, str]]] = {}
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if (answers := listener._answers.get(parts.path)) is not None:
                    answers.put(dict(parse_qsl(parts.query, keep_blank_values=True)))
                body = f"<!DOCTYPE html><title>client</title><h1>{ARRIVED}</h1>".encode()
                self.send_response(200 if answers is not None else 404)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def add(self) -> tuple[str, "queue.Queue[dict[str, str]]"]:
        """A new redirect URI, and what comes there."""
        path = f"/{secrets.token_hex(4)}/callback"
        self._answers[path] = queue.Queue()
        return f"http://127.0.0.1:{self._server.server_port}{path}", self._answers[path]

    def serve(self) -> None:
        """Serves until ``close``."""
        self._server.serve_forever(poll_interval=0.05)

    def close(self) -> None:
        """Ends ``serve``."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running_listener() -> Iterator[Listener]:
    """A listener until the end of the block."""
    listener = Listener()
    thread = threading.Thread(target=listener.serve, name="listener")
    thread.start()
    try:
        yield listener
    finally:
        listener.close()
        thread.join()


@dataclass(slots=True)
class Client:
    """One registered client of one sidecar."""

    sidecar: Sidecar
    id: str
    redirect_uri: str
    answers: "queue.Queue[dict[str, str]]"
    verifiers: dict[str, str] = field(default_factory=dict)
    """By state: of each login that it began."""

    def begin(self, **parameters: str) -> str:
        """The URL to which it sends the browser; ``parameters`` are added, or replace its own."""
        state, verifier = secrets.token_urlsafe(12), secrets.token_urlsafe(48)
        self.verifiers[state] = verifier
        query = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": self.redirect_uri,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
            "state": state,
            "scope": SCOPE,
            "resource": self.sidecar.resource,
            **parameters,
        }
        return f"{self.sidecar.issuer}/authorize?{urlencode(query)}"

    def answer(self) -> dict[str, str]:
        """The next that the browser brings; checks that it is for a login of its own, from the right server."""
        answer = self.answers.get(timeout=ANSWER_TIMEOUT_S)
        assert answer["state"] in self.verifiers
        assert answer["iss"] == self.sidecar.issuer
        return answer

    def heard_nothing(self) -> bool:
        """Whether the browser was never sent back to it; only after the browser shows another page."""
        return self.answers.empty()

    def redeem(self, answer: dict[str, str]) -> dict[str, Any]:
        """The tokens for a code."""
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifiers[answer["state"]],
            "client_id": self.id,
            "resource": self.sidecar.resource,
        }
        response = ask(self.sidecar, "POST", "/token", data=form)
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens


def ask(sidecar: Sidecar, method: str, path: str, **content: Any) -> httpx.Response:
    """One request of a program, past the front, to a path below the issuer."""
    headers = {"host": sidecar.authority, **content.pop("headers", {})}
    url = f"http://127.0.0.1:{sidecar.port}{sidecar.prefix}{path}"
    return httpx.request(method, url, headers=headers, trust_env=False, timeout=20, **content)


def register(sidecar: Sidecar, listener: Listener, *, name: str = "Test client", redirect_uri: str = "") -> Client:
    """A client that registered itself; ``redirect_uri``: one that the listener does not hear."""
    heard, answers = listener.add()
    metadata = {"redirect_uris": [redirect_uri or heard], "client_name": name}
    response = ask(sidecar, "POST", "/register", json=metadata)
    assert response.status_code == 201, response.text
    return Client(sidecar, response.json()["client_id"], redirect_uri or heard, answers)


def call(sidecar: Sidecar, access_token: str) -> int:
    """The status of a first MCP request with a token."""
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    headers = {"authorization": f"Bearer {access_token}", "accept": "application/json, text/event-stream"}
    return ask(sidecar, "POST", "/mcp", json=request, headers=headers).status_code


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
