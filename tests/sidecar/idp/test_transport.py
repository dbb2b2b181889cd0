"""The transport below httpx, byte by byte, with a server that does what a test tells it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from postern_sidecar.idp.transport import Address, Transport
from tests.support.ca import PrivateCA
from tests.support.upstream import Connection, Script, Upstream, answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


class Nobody:
    """Trust that must not be asked for."""

    def __call__(self) -> ssl.SSLContext:
        raise AssertionError("no TLS is spoken here")


@pytest.fixture(params=[{}, {"use_uvloop": True}], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The process runs on uvloop, whose TLS is its own."""
    return "asyncio", request.param


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=Transport(Nobody()), headers={"user-agent": "test"}) as made:
        yield made


def url(upstream: Upstream, path: str = "/a?b=c", *, scheme: str = "http") -> str:
    return f"{scheme}://{upstream.host}:{upstream.port}{path}"


def closing_at_the_second(seen: list[bytes]) -> Script:
    """Notes methods; answers all but the second request, at which it closes without a byte."""

    async def script(connection: Connection) -> None:
        while True:
            head, _ = await connection.request()
            seen.append(head.split(b" ")[0])
            if len(seen) == 2:
                return
            await connection.send(OK)

    return script


async def test_request_has_its_head_and_body_on_the_wire(client: httpx.AsyncClient) -> None:
    seen: list[tuple[bytes, bytes]] = []
    async with serve(answering(OK, seen=seen)) as upstream:
        answer = await client.post(url(upstream), content=b"x=1", headers={"X-One": "1"})
    assert (answer.status_code, answer.content) == (200, b"ok")
    ((head, body),) = seen
    assert head.startswith(b"POST /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n" % upstream.port)
    assert {b"user-agent: test", b"x-one: 1", b"content-length: 3"} <= set(head.split(b"\r\n"))
    assert body == b"x=1"


async def test_chunked_body_is_read(client: httpx.AsyncClient) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    async with serve(answering(chunked)) as upstream:
        assert (await client.get(url(upstream))).content == b"abcde"


async def test_connection_is_kept_for_the_next_request(client: httpx.AsyncClient) -> None:
    async with serve(answering(OK, OK, OK)) as upstream:
        for method in ("GET", "POST", "GET"):
            await client.request(method, url(upstream))
        assert len(upstream.connections) == 1


async def test_connection_is_not_kept_when_the_server_closes_it(client: httpx.AsyncClient) -> None:
    async with serve(answering(CLOSING)) as upstream:
        await client.get(url(upstream))
        await client.get(url(upstream))
        assert len(upstream.connections) == 2


async def test_connection_with_an_unread_answer_is_closed(client: httpx.AsyncClient) -> None:
    async with serve(answering(OK[:-1])) as upstream:
        async with client.stream("GET", url(upstream)):
            pass
        async with asyncio.timeout(5):
            await upstream.connections[0].gone.wait()


async def test_get_on_a_connection_that_closes_under_it_is_sent_again(client: httpx.AsyncClient) -> None:
    seen: list[bytes] = []
    async with serve(closing_at_the_second(seen)) as upstream:
        await client.get(url(upstream))
        assert (await client.get(url(upstream))).content == b"ok"
        assert (seen, len(upstream.connections)) == ([b"GET", b"GET", b"GET"], 2)


async def test_post_on_a_connection_that_closes_under_it_is_never_sent_again(client: httpx.AsyncClient) -> None:
    seen: list[bytes] = []
    async with serve(closing_at_the_second(seen)) as upstream:
        await client.get(url(upstream))
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(url(upstream), content=b"code=1")
        assert (seen, len(upstream.connections)) == ([b"GET", b"POST"], 1)


async def test_get_on_a_fresh_connection_is_not_sent_again(client: httpx.AsyncClient) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()

    async with serve(script) as upstream:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url(upstream))
        assert len(upstream.connections) == 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", id="cut"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", id="cut-chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", id="two-lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", id="both"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", id="endless-head"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="not-http"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_answer_that_is_not_whole_and_valid_is_an_error(client: httpx.AsyncClient, answer: bytes) -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(answer)

    async with serve(script) as upstream:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(url(upstream))


async def test_line_break_in_a_header_never_reaches_the_wire(client: httpx.AsyncClient) -> None:
    async with serve(answering(OK)) as upstream:
        for value in ("a\r\nx-admin: 1", "a\nb", "a\0"):
            with pytest.raises(httpx.LocalProtocolError) as caught:
                await client.get(url(upstream), headers={"x": value})
            assert value not in str(caught.value)
        assert upstream.connections == []


async def test_body_of_unknown_length_is_refused(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"

    async with serve(answering(OK)) as upstream:
        with pytest.raises(httpx.LocalProtocolError):
            await client.post(url(upstream), content=pieces())
        assert upstream.connections == []


async def test_cancelled_request_closes_its_connection(client: httpx.AsyncClient) -> None:
    arrived = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.head()
        arrived.set()
        await connection.read_until_gone()

    async with serve(script) as upstream:
        asked = asyncio.create_task(client.get(url(upstream)))
        async with asyncio.timeout(5):
            await arrived.wait()
            asked.cancel()
            await upstream.connections[0].gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await asked


async def test_no_connection_outlives_the_transport() -> None:
    async with serve(answering(OK)) as upstream:
        async with httpx.AsyncClient(transport=Transport(Nobody())) as client:
            await client.get(url(upstream))
            assert not upstream.connections[0].gone.is_set()
        async with asyncio.timeout(5):
            await upstream.connections[0].gone.wait()


@pytest.fixture
def authority() -> PrivateCA:
    return PrivateCA()


def trusting(authority: PrivateCA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.certificate.decode())


def server_context(authority: PrivateCA, folder: Path, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.leaf(*names).write(folder))
    return context


async def test_tls_proves_the_name_and_not_the_address(authority: PrivateCA, tmp_path: Path) -> None:
    async def loopback(_: str) -> Iterable[Address]:
        return [(socket.AF_INET, "127.0.0.1")]

    transport = Transport(lambda: trusting(authority), resolve=loopback)
    tls = server_context(authority, tmp_path, "sso.example.com")
    async with serve(answering(OK, OK), tls=tls) as upstream, httpx.AsyncClient(transport=transport) as client:
        assert (await client.get(f"https://sso.example.com:{upstream.port}/")).content == b"ok"
        # The kept connection leads to the same address, but another name was asked for.
        for other in ("other.example.com", "127.0.0.1"):
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(f"https://{other}:{upstream.port}/")


async def test_server_of_an_unknown_authority_gets_nothing(authority: PrivateCA, tmp_path: Path) -> None:
    seen: list[tuple[bytes, bytes]] = []
    stranger = server_context(PrivateCA("Somebody else"), tmp_path, "127.0.0.1")
    transport = Transport(lambda: trusting(authority))
    async with serve(answering(OK, seen=seen), tls=stranger) as upstream:
        async with httpx.AsyncClient(transport=transport) as client:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.get(url(upstream, scheme="https"), headers={"authorization": "Basic c2VjcmV0"})
        assert seen == []


async def test_https_is_never_spoken_in_plain_text(authority: PrivateCA) -> None:
    received: list[bytes] = []

    async def script(connection: Connection) -> None:
        received.append(await connection.exactly(1))

    async with serve(script) as upstream, httpx.AsyncClient(transport=Transport(lambda: trusting(authority))) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(url(upstream, scheme="https"))
        assert received == [b"\x16"]  # a TLS record of a handshake (RFC 8446 section 5.1)


def accepted(listener: socket.socket) -> int:
    """How many connections wait at a listener."""
    listener.setblocking(False)
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


async def test_address_that_refuses_or_does_not_answer_makes_way_for_the_next(
    authority: PrivateCA, tmp_path: Path
) -> None:
    async def resolve(_: str) -> Iterable[Address]:
        return [(socket.AF_INET, address) for address in ("127.0.0.3", "127.0.0.2", "127.0.0.1")]

    transport = Transport(lambda: trusting(authority), resolve=resolve, address_s=0.05)
    async with (
        serve(answering(OK), tls=server_context(authority, tmp_path, "sso.example.com")) as upstream,
        httpx.AsyncClient(transport=transport) as client,
    ):
        with socket.create_server(("127.0.0.2", upstream.port)) as silent:
            assert (await client.get(f"https://sso.example.com:{upstream.port}/")).content == b"ok"
            assert accepted(silent) == 1


async def test_families_of_addresses_take_turns(authority: PrivateCA, tmp_path: Path) -> None:
    async def resolve(_: str) -> Iterable[Address]:
        return [(socket.AF_INET6, "127.0.0.2"), (socket.AF_INET6, "127.0.0.2"), (socket.AF_INET, "127.0.0.1")]

    transport = Transport(lambda: trusting(authority), resolve=resolve, address_s=0.05)
    async with (
        serve(answering(OK), tls=server_context(authority, tmp_path, "sso.example.com")) as upstream,
        httpx.AsyncClient(transport=transport) as client,
    ):
        with socket.create_server(("127.0.0.2", upstream.port)) as silent:
            assert (await client.get(f"https://sso.example.com:{upstream.port}/")).content == b"ok"
            assert accepted(silent) == 1


async def test_name_without_an_address_cannot_be_connected_to() -> None:
    async def resolve(_: str) -> Iterable[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with httpx.AsyncClient(transport=Transport(Nobody(), resolve=resolve)) as client:
        with pytest.raises(httpx.ConnectError, match="not known"):
            await client.get("http://nowhere.invalid/")
