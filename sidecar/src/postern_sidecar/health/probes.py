"""The server's own probes, asked on the kubelet's behalf: this module holds the fixed map and performs them.

Only what the pod declared can be asked, and only a status comes back.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from postern_sidecar.errors import SettingsError, SidecarError
from postern_sidecar.forward.response import ResponseHead, ResponseReader
from postern_sidecar.health import grpc_check

__all__ = ["Probe", "Probes", "parse_probes", "perform"]

_NAMES = frozenset(("readiness", "liveness", "startup", "postStart", "preStop"))


class _Model(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Common settings: immutable, nothing unknown."""


class Header(_Model, frozen=True):
    """A header of an httpGet probe."""

    name: str
    value: str


class HttpGet(_Model, frozen=True):
    """An httpGet probe."""

    port: int
    path: str = "/"
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    headers: tuple[Header, ...] = ()


class TcpSocket(_Model, frozen=True):
    """A tcpSocket probe."""

    port: int


class Grpc(_Model, frozen=True):
    """A grpc probe."""

    port: int
    service: str = ""


class Probe(_Model, frozen=True):
    """One probe: exactly one of the three handlers."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    timeout_seconds: int = 1

    def __post_init__(self) -> None:
        """Refuse none or several handlers."""
        if sum(handler is not None for handler in (self.http_get, self.tcp_socket, self.grpc)) != 1:
            raise ValueError("exactly one of httpGet, tcpSocket and grpc must be given")


Probes = Mapping[str, Probe]


def parse_probes(text: str) -> Probes:
    """Read POSTERN_PROBES: '<container>/<probe>' -> probe; empty text: none. Raises SettingsError."""
    if not text:
        return {}
    try:
        probes = msgspec.json.decode(text, type=dict[str, Probe])
    except (msgspec.MsgspecError, ValueError) as error:
        raise SettingsError(f"POSTERN_PROBES is not usable: {error}") from error
    for key in probes:
        container, _, name = key.partition("/")
        if not container or name not in _NAMES:
            raise SettingsError(f"POSTERN_PROBES has the key {key!r}: write <container>/<{'|'.join(sorted(_NAMES))}>")
    return probes


async def perform(probe: Probe, host: str, *, user_agent: str) -> int:
    """Ask the server at host; gives the HTTP status for the kubelet: the server's own, 502 no answer, 504 too late.

    tcpSocket and grpc know only 200 and 503.
    """
    is_http = probe.http_get is not None
    try:
        async with asyncio.timeout(probe.timeout_seconds):
            return await _ask(probe, host, user_agent)
    except TimeoutError:
        return 504 if is_http else 503
    except (OSError, EOFError, SidecarError):
        return 502 if is_http else 503


async def _ask(probe: Probe, host: str, user_agent: str) -> int:
    if probe.http_get is not None:
        return await _http_status(probe.http_get, host, user_agent)
    if probe.grpc is not None:
        return 200 if await grpc_check.check(host, probe.grpc.port, probe.grpc.service) else 503
    if probe.tcp_socket is not None:
        _, writer = await asyncio.open_connection(host, probe.tcp_socket.port)
        writer.close()
    return 200


async def _http_status(probe: HttpGet, host: str, user_agent: str) -> int:
    """Follow one redirect to the same host, as the kubelet would."""
    path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
    answer = await _get(probe, host, path, user_agent)
    location = next((value for name, value in answer.headers if name == b"location"), b"")
    if answer.status in (301, 302, 303, 307, 308) and location:
        other = _same_host_path(probe, host, location.decode("latin-1"))
        if other is not None:
            answer = await _get(probe, host, other, user_agent)
    return answer.status


def _same_host_path(probe: HttpGet, host: str, location: str) -> str | None:
    """Give path and query of a redirect that stays at the probed host and port; None: it leads elsewhere."""
    try:
        url = urlsplit(location)
        port = url.port
    except ValueError:
        return None
    if not url.scheme and not url.netloc:
        return location if location.startswith("/") else None
    default = 443 if url.scheme == "https" else 80
    own = {host, "localhost", _host_header(probe).rpartition(":")[0]}
    if url.scheme.upper() != probe.scheme or url.hostname not in own or (port or default) != probe.port:
        return None
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _host_header(probe: HttpGet) -> str:
    named = next((header.value for header in probe.headers if header.name.lower() == "host"), None)
    return named or f"localhost:{probe.port}"


async def _get(probe: HttpGet, host: str, path: str, user_agent: str) -> ResponseHead:
    reader, writer = await asyncio.open_connection(host, probe.port, ssl=_tls() if probe.scheme == "HTTPS" else None)
    try:
        writer.write(_request(probe, path, user_agent))
        parser = ResponseReader(b"GET")
        while parser.head is None:
            data = await reader.read(65536)
            if data:
                parser.feed(data)
            else:
                parser.end(clean=True)
                raise EOFError
        return parser.head
    finally:
        writer.transport.abort()


def _request(probe: HttpGet, path: str, user_agent: str) -> bytes:
    given = {header.name.lower() for header in probe.headers}
    defaults = {"user-agent": user_agent, "accept": "*/*"}
    lines = [f"GET {path} HTTP/1.1", f"host: {_host_header(probe)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in defaults.items() if name not in given]
    lines += [f"{header.name}: {header.value}" for header in probe.headers if header.name.lower() != "host"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def _tls() -> ssl.SSLContext:
    """Without verification, as the kubelet does for HTTPS probes."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
