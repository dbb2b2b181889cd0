"""The server's own probes, performed for the kubelet."""

import asyncio
import ssl
from pathlib import Path

import pytest

from postern_sidecar.errors import SettingsError
from postern_sidecar.health.probes import Grpc, Header, HttpGet, Probe, TcpSocket, parse_probes, perform
from tests.support.ca import PrivateCA
from tests.support.upstream import Connection, answering, serve


def answer(status: int, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} X", *lines, "content-length: 6", "", "secret"]).encode()


async def status_of(probe: Probe) -> int:
    async with asyncio.timeout(5):
        return await perform(probe, "127.0.0.1", user_agent="kube-probe/1.36")


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 500, 503])
async def test_status_of_the_server_is_passed(status: int) -> None:
    async with serve(answering(answer(status))) as server:
        assert await status_of(Probe(http_get=HttpGet(port=server.port))) == status


async def test_path_headers_and_host_are_as_the_probe_says() -> None:
    seen: list[tuple[bytes, bytes]] = []
    headers = (Header("Host", "health.internal"), Header("X-Check", "1"), Header("Accept", "text/plain"))
    async with serve(answering(answer(200), seen=seen)) as server:
        await status_of(Probe(http_get=HttpGet(port=server.port, path="healthz?full=1", headers=headers)))
    assert seen[0][0].decode().split("\r\n")[:-2] == [
        "GET /healthz?full=1 HTTP/1.1",
        "host: health.internal",
        "connection: close",
        "user-agent: kube-probe/1.36",
        "X-Check: 1",
        "Accept: text/plain",
    ]


async def test_redirect_on_the_same_host_is_followed_once() -> None:
    async def script(connection: Connection) -> None:
        head = await connection.head()
        to = b"/second" if head.startswith(b"GET /first ") else b"/third"
        await connection.send(b"HTTP/1.1 302 F\r\nlocation: " + to + b"\r\ncontent-length: 0\r\n\r\n")

    async with serve(script) as server:
        assert await status_of(Probe(http_get=HttpGet(port=server.port, path="/first"))) == 302
        assert len(server.connections) == 2


@pytest.mark.parametrize(
    "location",
    ["http://evil.example/", "//evil.example/", "https://127.0.0.1/", "http://127.0.0.1:1/", "next", "http://["],
)
async def test_redirect_that_leads_away_is_not_followed(location: str) -> None:
    async with serve(answering(answer(302, f"location: {location}"))) as server:
        assert await status_of(Probe(http_get=HttpGet(port=server.port))) == 302
        assert len(server.connections) == 1


async def test_server_that_hangs_up_or_speaks_nonsense_is_502() -> None:
    for data in (b"", b"nonsense\r\n\r\n"):

        async def script(connection: Connection, data: bytes = data) -> None:
            await connection.head()
            await connection.send(data)

        async with serve(script) as server:
            assert await status_of(Probe(http_get=HttpGet(port=server.port))) == 502
    assert await status_of(Probe(http_get=HttpGet(port=server.port))) == 502


async def test_server_that_is_late_is_504() -> None:
    async def script(connection: Connection) -> None:
        await connection.read_until_gone()

    async with serve(script) as server:
        assert await status_of(Probe(http_get=HttpGet(port=server.port), timeout_seconds=1)) == 504


async def test_https_probe_does_not_verify_the_certificate(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = PrivateCA().leaf("127.0.0.1").write(tmp_path)
    context.load_cert_chain(certificate, key)

    async with serve(answering(answer(200)), tls=context) as server:
        probe = Probe(http_get=HttpGet(port=server.port, scheme="HTTPS"), timeout_seconds=3)
        assert await status_of(probe) == 200


async def test_tcp_and_grpc_probes_know_only_200_and_503() -> None:
    async with serve(answering(answer(200))) as server:
        assert await status_of(Probe(tcp_socket=TcpSocket(server.port))) == 200
    assert await status_of(Probe(tcp_socket=TcpSocket(server.port))) == 503
    assert await status_of(Probe(grpc=Grpc(server.port))) == 503


def test_probes_are_read_from_their_variable() -> None:
    text = """{"app/readiness": {"httpGet": {"path": "/z", "port": 8000, "scheme": "HTTP", "headers": [
        {"name": "A", "value": "b"}]}, "timeoutSeconds": 3},
        "app/liveness": {"tcpSocket": {"port": 8000}, "timeoutSeconds": 1},
        "db/preStop": {"grpc": {"port": 9, "service": "s"}, "timeoutSeconds": 1}}"""
    probes = parse_probes(text)
    assert set(probes) == {"app/readiness", "app/liveness", "db/preStop"}
    assert probes["app/readiness"].http_get == HttpGet(8000, "/z", "HTTP", (Header("A", "b"),))
    assert parse_probes("") == {}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"app/readiness": {}}',
        '{"app/readiness": {"tcpSocket": {"port": 1}, "grpc": {"port": 1}}}',
        '{"app/readiness": {"exec": {"command": []}}}',
        '{"app/other": {"tcpSocket": {"port": 1}}}',
        '{"readiness": {"tcpSocket": {"port": 1}}}',
        '{"app/readiness": {"tcpSocket": {"port": "http"}}}',
    ],
)
def test_wrong_probes_are_refused_with_the_name_of_the_variable(text: str) -> None:
    with pytest.raises(SettingsError, match="POSTERN_PROBES"):
        parse_probes(text)
