import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postern_operator.certificates.serving import LiveCertificate
from tests.support.ca import Leaf, PrivateCA

NAME = "postern-webhook.postern-system.svc"


def mount(directory: Path, version: str, leaf: Leaf) -> None:
    """Lay out a pair as the kubelet does: files are links into a directory that is swapped as a whole."""
    content = directory / f"..{version}"
    content.mkdir()
    leaf.write(content)
    swap = directory / "..swap"
    swap.symlink_to(content.name)
    swap.rename(directory / "..data")
    for name in ("tls.crt", "tls.key"):
        if not (directory / name).is_symlink():
            os.symlink(f"..data/{name}", directory / name)


@contextlib.asynccontextmanager
async def listening(certificate: LiveCertificate) -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=certificate.context())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def connect(
    port: int, authority: PrivateCA, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.minimum_version = context.maximum_version = version
    async with asyncio.timeout(5):
        return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def test_renewed_certificate_is_shown_to_new_connections_while_old_ones_go_on(tmp_path: Path) -> None:
    old, new = PrivateCA("old"), PrivateCA("new")
    mount(tmp_path, "1", old.leaf(NAME))
    certificate = LiveCertificate(str(tmp_path))
    assert certificate.load()
    async with listening(certificate) as port:
        reader, writer = await connect(port, old)
        mount(tmp_path, "2", new.leaf(NAME))
        assert certificate.load()
        _, later = await connect(port, new)
        assert later.get_extra_info("ssl_object").getpeercert(binary_form=True) == certificate.certificate
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, old)
        await close(writer)
        await close(later)


async def test_mismatched_pair_never_breaks_serving(tmp_path: Path) -> None:
    authority = PrivateCA()
    mount(tmp_path, "1", authority.leaf(NAME))
    certificate = LiveCertificate(str(tmp_path))
    certificate.load()
    shown = certificate.certificate
    async with listening(certificate) as port:
        mount(tmp_path, "2", Leaf(authority.leaf(NAME).certificate, authority.leaf(NAME).key))
        for _ in range(2):
            with pytest.raises(OSError, match="mismatch"):
                certificate.load()
            _, writer = await connect(port, authority)
            assert writer.get_extra_info("ssl_object").getpeercert(binary_form=True) == shown
            await close(writer)


def test_absent_pair_is_an_error_until_it_is_there(tmp_path: Path) -> None:
    certificate = LiveCertificate(str(tmp_path))
    with pytest.raises(OSError, match=r"tls\.crt"):
        certificate.load()
    mount(tmp_path, "1", PrivateCA().leaf(NAME))
    assert certificate.load()
    assert not certificate.load()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_current_versions_of_tls_are_served(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority = PrivateCA()
    mount(tmp_path, "1", authority.leaf(NAME))
    certificate = LiveCertificate(str(tmp_path))
    certificate.load()
    async with listening(certificate) as port:
        _, writer = await connect(port, authority, version)
        await close(writer)


def test_older_versions_of_tls_are_refused(tmp_path: Path) -> None:
    assert LiveCertificate(str(tmp_path)).context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_certificate_with_notes_in_another_language_is_read(tmp_path: Path) -> None:
    PrivateCA("old").leaf(NAME).write(tmp_path)
    plain = LiveCertificate(str(tmp_path))
    plain.load()
    text = (tmp_path / "tls.crt").read_bytes()
    (tmp_path / "tls.crt").write_bytes("friendlyName: Prüfstelle\n".encode() + text)
    noted = LiveCertificate(str(tmp_path))

    assert noted.load()

    assert noted.certificate == plain.certificate
