import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postern_sidecar.errors import CaUnavailable, IdpError, IdpRefused, IdpUnreachable, MalformedDocument
from postern_sidecar.idp.client import MAX_BYTES, IdpClient
from tests.support.ca import PrivateCA
from tests.support.fake_issuer import Behaviour, FakeIssuer
from tests.support.upstream import Connection, serve


@pytest.fixture
async def client() -> AsyncIterator[IdpClient]:
    made = IdpClient(None, ca_required=False, total_s=0.3)
    yield made
    await made.aclose()


async def test_page_is_fetched_with_its_age(client: IdpClient, fake_issuer: FakeIssuer) -> None:
    fake_issuer.headers = {"Cache-Control": "public, Max-Age=120"}
    page = await client.get(fake_issuer.jwks_uri)
    assert (page.body, page.max_age_s) == (fake_issuer.document("/jwks"), 120)
    assert page.content_type == "application/json"


@pytest.mark.parametrize(
    ("behaviour", "error", "text"),
    [
        pytest.param(Behaviour.NOT_FOUND, IdpRefused, "status 404", id="404"),
        pytest.param(Behaviour.ERROR, IdpUnreachable, "status 500", id="500"),
        pytest.param(Behaviour.TOO_MANY, IdpUnreachable, "status 429", id="429"),
        pytest.param(Behaviour.HANG, IdpUnreachable, "within 0.3 s", id="hang"),
        pytest.param(Behaviour.SLOW, IdpUnreachable, "within 0.3 s", id="slow"),
        pytest.param(Behaviour.HUGE, MalformedDocument, "more than 512 KiB", id="huge"),
        pytest.param(Behaviour.COMPRESSED, MalformedDocument, "compressed", id="compressed"),
        pytest.param(Behaviour.REDIRECT_AWAY, MalformedDocument, "another origin, http://localhost:", id="away"),
        pytest.param(Behaviour.REDIRECT_LOOP, MalformedDocument, "more than 3 redirects", id="loop"),
    ],
)
async def test_misbehaviour_is_an_error_that_names_the_url(
    client: IdpClient, fake_issuer: FakeIssuer, behaviour: Behaviour, error: type[IdpError], text: str
) -> None:
    fake_issuer.behaviours["/jwks"] = behaviour
    with pytest.raises(error, match=text) as caught:
        await client.get(fake_issuer.jwks_uri)
    assert fake_issuer.jwks_uri in str(caught.value)


async def test_page_of_exactly_the_bound_is_read(client: IdpClient, fake_issuer: FakeIssuer) -> None:
    fake_issuer.metadata = {"pad": ""}
    path = fake_issuer.metadata_urls[0].removeprefix(fake_issuer.origin)
    fake_issuer.metadata = {"pad": "x" * (MAX_BYTES - len(fake_issuer.document(path) or b""))}
    assert len((await client.get(fake_issuer.metadata_urls[0])).body) == MAX_BYTES


async def test_redirect_within_the_origin_is_followed(client: IdpClient, fake_issuer: FakeIssuer) -> None:
    fake_issuer.behaviours["/jwks"] = Behaviour.REDIRECT_HERE
    page = await client.get(fake_issuer.jwks_uri)
    assert page.url == fake_issuer.jwks_uri + "?moved"


async def test_closed_port_is_unreachable(client: IdpClient, fake_issuer: FakeIssuer) -> None:
    fake_issuer.close()
    with pytest.raises(IdpUnreachable, match="ConnectError"):
        await client.get(fake_issuer.jwks_uri)


@pytest.mark.parametrize(
    "url",
    ["http://sso.example.com/jwks", "ftp://127.0.0.1/x", "file:///etc/passwd", "https://", "x", "http://[::1", ""],
)
async def test_url_that_is_neither_https_nor_loopback_is_never_called(client: IdpClient, url: str) -> None:
    with pytest.raises(MalformedDocument):
        await client.get(url)


async def test_required_ca_that_is_absent_is_named() -> None:
    with pytest.raises(CaUnavailable, match="caBundle"):
        await IdpClient(None, ca_required=True).get("https://127.0.0.1:1/")


@pytest.mark.parametrize("pem", [b"", b"no certificate", b"\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
async def test_ca_without_a_certificate_is_named(pem: bytes) -> None:
    with pytest.raises(CaUnavailable, match="caBundle"):
        await IdpClient(pem, ca_required=True).get("https://127.0.0.1:1/")


async def test_private_ca_is_trusted_only_when_given(client: IdpClient, tmp_path: Path) -> None:
    authority = PrivateCA()
    certificate, key = authority.leaf("127.0.0.1").write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    trusting = IdpClient(authority.certificate, ca_required=True)
    with FakeIssuer(tls=tls) as issuer:
        assert (await trusting.get(issuer.metadata_urls[0])).url.startswith("https://")
        with pytest.raises(IdpUnreachable, match="certificate verify failed"):
            await client.get(issuer.metadata_urls[0])
    await trusting.aclose()


async def test_authorities_of_the_system_are_trusted_beside_the_policys(tmp_path: Path) -> None:
    system, own = PrivateCA("Authority of the system"), PrivateCA("Authority of the policy")
    (tmp_path / f"{_hashed_name(system.certificate)}.0").write_bytes(system.certificate)
    client = IdpClient(own.certificate, ca_required=True, authorities=tmp_path)
    try:
        for authority in (system, own):
            with _served_by(authority, tmp_path) as issuer:
                assert (await client.get(issuer.jwks_uri)).body == issuer.document("/jwks")
        with (
            _served_by(PrivateCA("Nobody's"), tmp_path) as issuer,
            pytest.raises(IdpUnreachable, match="verify failed"),
        ):
            await client.get(issuer.jwks_uri)
    finally:
        await client.aclose()


def _hashed_name(certificate: bytes) -> str:
    """What OpenSSL looks for."""
    command = ["openssl", "x509", "-noout", "-subject_hash"]
    return subprocess.run(command, input=certificate, capture_output=True, check=True).stdout.decode().strip()


def _served_by(authority: PrivateCA, folder: Path) -> FakeIssuer:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.leaf("127.0.0.1").write(folder))
    return FakeIssuer(tls=tls)


async def test_burst_of_requests_is_let_through_32_at_a_time() -> None:
    under_way = asyncio.Semaphore(0)
    go_on = asyncio.Event()
    at_once: list[int] = []

    async def script(connection: Connection) -> None:
        await connection.head()
        under_way.release()
        await go_on.wait()
        at_once.append(len(upstream.connections) - len(at_once))
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")

    client = IdpClient(None, ca_required=False)
    async with serve(script) as upstream, asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(client.get(f"http://127.0.0.1:{upstream.port}/"))
        for _ in range(32):
            await under_way.acquire()
        go_on.set()
    await client.aclose()
    assert (len(at_once), max(at_once)) == (40, 32)
