"""An issuer on a real socket that can misbehave in every way a sidecar has to survive."""

import json
import ssl
from collections.abc import Callable
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

__all__ = ["Behaviour", "FakeIssuer"]

METADATA_PATH = "/.well-known/oauth-authorization-server"
OPENID_PATH = "/.well-known/openid-configuration"
JWKS_PATH = "/jwks"


class Behaviour(StrEnum):
    """How a path answers."""

    NORMAL = "normal"
    NOT_FOUND = "not_found"
    ERROR = "error"
    TOO_MANY = "too_many"
    HTML = "html"
    NOT_JSON = "not_json"
    HANG = "hang"
    """Accepts, and says nothing until the issuer is closed."""
    SLOW = "slow"
    """A byte now and then, never the last one."""
    HUGE = "huge"
    """10 MB, of which the reader should take no more than its bound."""
    COMPRESSED = "compressed"
    REDIRECT_AWAY = "redirect_away"
    """To another origin."""
    REDIRECT_HERE = "redirect_here"
    """To the document itself, under another path of this origin."""
    REDIRECT_LOOP = "redirect_loop"


_JSON = {"Content-Type": "application/json"}
_FAULTS: dict[Behaviour, tuple[int, dict[str, str], bytes]] = {
    Behaviour.NOT_FOUND: (404, {}, b"no"),
    Behaviour.ERROR: (500, {}, b"oops"),
    Behaviour.TOO_MANY: (429, {}, b"slow down"),
    Behaviour.HTML: (200, {"Content-Type": "text/html; charset=utf-8"}, b"<!doctype html><html></html>"),
    Behaviour.NOT_JSON: (200, _JSON, b'{"keys": ['),
    Behaviour.HUGE: (200, _JSON, b" " * 10_000_000),
    Behaviour.COMPRESSED: (200, {**_JSON, "Content-Encoding": "gzip"}, b"{}"),
}


class FakeIssuer:
    """A context manager; everything may be changed while it runs."""

    def __init__(self, *, issuer_path: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.keys: list[dict[str, Any]] = []
        self.metadata: dict[str, Any] = {}
        """Members that are added to, or replace those of, the metadata."""
        self.headers: dict[str, str] = {}
        """Added to good answers."""
        self.requests: list[str] = []
        """Paths that were asked for, in order."""
        self.on_request: Callable[[str], None] = lambda _path: None
        """Called in the server's thread before a good answer."""
        self._closing = Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.origin = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self.issuer = self.origin + issuer_path
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def jwks_uri(self) -> str:
        """Where the keys are."""
        return self.origin + JWKS_PATH

    @property
    def metadata_urls(self) -> tuple[str, str]:
        """Where the metadata is, in the order to try."""
        return self.origin + METADATA_PATH, self.origin + OPENID_PATH

    def close(self) -> None:
        """Stops answering; the port is free afterwards."""
        if not self._closing.is_set():
            self._closing.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(timeout=5)

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.requests.count(path)

    def document(self, path: str) -> bytes | None:
        """The good answer at a path."""
        if path.startswith((METADATA_PATH, OPENID_PATH)):
            endpoints = {f"{name}_endpoint": f"{self.issuer}/{name}" for name in ("authorization", "token")}
            base = {"issuer": self.issuer, "jwks_uri": self.jwks_uri, **endpoints}
            return json.dumps({**base, **self.metadata}).encode()
        return json.dumps({"keys": self.keys}).encode() if path.startswith(JWKS_PATH) else None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers one request as its path is told to."""
        path = handler.path
        self.requests.append(path)
        good = self.document(path)
        behaviour = self.behaviours.get(path, Behaviour.NOT_FOUND if good is None else Behaviour.NORMAL)
        if behaviour is Behaviour.HANG:
            self._closing.wait(30)
        elif behaviour is Behaviour.SLOW:
            self._drip(handler)
        elif behaviour is Behaviour.NORMAL:
            self.on_request(path)
            _send(handler, 200, good or b"", {**_JSON, **self.headers})
        else:
            away = f"http://localhost:{self._server.server_address[1]}{path}"
            locations = {
                Behaviour.REDIRECT_AWAY: away,
                Behaviour.REDIRECT_HERE: f"{path}?moved",
                Behaviour.REDIRECT_LOOP: path,
            }
            location = {"Location": locations[behaviour]} if behaviour in locations else {}
            status, headers, body = _FAULTS.get(behaviour, (307, {}, b""))
            _send(handler, status, body, {**headers, **location})

    def _drip(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not self._closing.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _handler(issuer: FakeIssuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True  # head and body go out apart: the second would wait 40 ms for an ACK

        def do_GET(self) -> None:
            try:
                issuer.answer(self)
            except OSError:
                # The reader went away, as it should from an answer that is too long or too slow.
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Says nothing: tests read requests instead."""

    return Handler
