"""A vendor's hosts on one real socket: a request is read whole, and each path answers or misbehaves as it is told to.

``https://HOST/path`` of the vendor is ``http://127.0.0.1:PORT/HOST/path`` here, so that what is asked of the wrong host
is not found.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import msgspec

from postern_crds.sidecar_config import SidecarConfig, seal
from tests.support.fake_issuer import Behaviour, FakeIssuer
from tests.support.tokens import SigningPair

__all__ = ["Asked", "RefusedError", "Reply", "Vendor", "json_reply", "page", "redirect", "relocated"]

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; a parameter that came twice is refused before."""

    method: str
    place: str
    """Host and path."""
    headers: Mapping[str, str]
    """Names in lower case."""
    query: Mapping[str, str]
    form: Mapping[str, str]
    """Empty unless the body is a form."""
    body: bytes

    def bearer(self) -> str:
        """The token in Authorization; empty: there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() in ("bearer", "token") else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a vendor answers."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """Raised with the answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


Route = Callable[[Asked], Reply]


class Vendor(FakeIssuer):
    """A context manager; everything may be changed while it runs."""

    hosts: ClassVar[tuple[str, ...]]
    """Those that a policy names."""

    def __init__(self, pair: SigningPair) -> None:
        super().__init__()
        self.pair = pair
        self.ahead_s = 0.0
        """By how much the vendor's clock is ahead of ours."""
        self.log: list[Asked] = []
        self.said: list[str] = []
        """Texts in its errors, of which callers of ours must see nothing."""
        self.routes: dict[tuple[str, str], Route] = {}
        """By method and place."""
        self._server.RequestHandlerClass = _with_post(self, self._server.RequestHandlerClass)

    @property
    def places(self) -> dict[str, str]:
        """The vendor's origins, and where they are here."""
        return {f"https://{host}": self.at(host) for host in self.hosts}

    def at(self, place: str) -> str:
        """The URL of a place."""
        return f"{self.origin}/{place}"

    def now(self) -> float:
        """The vendor's time."""
        return time.time() + self.ahead_s

    def asked(self, place: str) -> list[Asked]:
        """What was asked at a place, in order."""
        return [asked for asked in self.log if asked.place == place]

    def misbehave(self, place: str, behaviour: Behaviour) -> None:
        """From now on this place answers so."""
        self.behaviours[f"/{place}"] = behaviour

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers one request."""
        if self._closing.is_set():
            # Over a connection that was open before.
            raise ConnectionResetError
        path, _, query = handler.path.partition("?")
        body = handler.rfile.read(int(handler.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        is_form = headers.get("content-type", "").partition(";")[0] == FORM
        pairs = parse_qsl(query, keep_blank_values=True), parse_qsl(body.decode(), keep_blank_values=True)
        form = pairs[1] if is_form else []
        self.log.append(Asked(handler.command, path[1:], headers, dict(pairs[0]), dict(form), body))
        if self.behaviours.get(path, Behaviour.NORMAL) is not Behaviour.NORMAL:
            super().answer(handler)
            return
        self.on_request(path)
        is_unique = len(dict(pairs[0])) == len(pairs[0]) and len(dict(form)) == len(form)
        _send(handler, self._reply(self.log[-1]) if is_unique else page(400, "a parameter came twice"))

    def _reply(self, asked: Asked) -> Reply:
        route = self.routes.get((asked.method, asked.place))
        if route is None:
            return page(404, "no such place")
        try:
            reply = route(asked)
        except RefusedError as refused:
            reply = refused.reply
        self._note(reply)
        return reply

    def _note(self, reply: Reply) -> None:
        members = json.loads(reply.body) if reply.content_type == "application/json" else {}
        texts = (members.get(name) for name in ("error_description", "message", "errorSummary"))
        self.said += [text for text in texts if text]


def json_reply(status: int, members: Mapping[str, Any], **headers: str) -> Reply:
    """A JSON object."""
    return Reply(status, json.dumps(members).encode(), "application/json", headers)


def page(status: int, text: str) -> Reply:
    """A page for people."""
    return Reply(status, f"<!doctype html><title>{text}</title>".encode(), "text/html; charset=utf-8")


def redirect(url: str, parameters: Mapping[str, str]) -> Reply:
    """A browser is sent on."""
    return Reply(302, headers={"Location": f"{url}?{urlencode(parameters)}"})


def relocated(config: SidecarConfig, places: Mapping[str, str]) -> SidecarConfig:
    """The policy with each URL at one of these origins rewritten to its new place, sealed again."""

    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: move(member) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [move(item) for item in value]
        for origin, place in places.items():
            if isinstance(value, str) and (value == origin or value.startswith(f"{origin}/")):
                return place + value.removeprefix(origin)
        return value

    return seal(msgspec.convert(move(msgspec.to_builtins(config)), SidecarConfig))


def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    handler.send_response(reply.status)
    fixed = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body)), "Cache-Control": "no-store"}
    for name, value in {**fixed, **reply.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(reply.body)


def _with_post(vendor: Vendor, plain: Any) -> type[BaseHTTPRequestHandler]:
    class Handler(plain):  # type: ignore[misc]
        def do_POST(self) -> None:  # noqa: N802 - the name is the base class's
            try:
                vendor.answer(self)
            except OSError:
                self.close_connection = True

    return Handler
