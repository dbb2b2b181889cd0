"""Fetching from hosts that strangers choose: real TLS servers on loopback, and every way to lead us astray."""

import gzip
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from postern_sidecar.facade.document_fetch import MAX_DOCUMENT_BYTES, DocumentFetcher, system_trust
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.public_addresses import Address
from tests.sidecar.facade.document_host import HOST, URL, DocumentHost, document, good


@pytest.fixture
def host(tmp_path: Path) -> Iterator[DocumentHost]:
    with DocumentHost(tmp_path) as running:
        yield running


async def refused(fetch: DocumentFetcher, url: str = URL) -> OAuthFault:
    with pytest.raises(OAuthFault) as caught:
        await fetch(url)
    return caught.value


async def test_document_is_fetched_from_the_address_under_the_name(host: DocumentHost) -> None:
    host.answer = lambda _path: good(document(), cache_control="public, Max-Age=120")
    fetched = await host.fetcher()(URL)
    assert (fetched.content_type, fetched.max_age_s) == ("application/json", 120)
    method, path, headers = host.requests[0]
    assert (method, path, headers["host"]) == ("GET", "/oauth/client.json", HOST)
    assert headers["accept"] == "application/json"
    assert not headers.keys() & {"cookie", "authorization", "referer", "x-forwarded-for"}


async def test_path_goes_out_byte_for_byte(host: DocumentHost) -> None:
    await host.fetcher()(f"https://{HOST}:443/a%2Fb/c'd(e)/~x;y=1,z%20!$&@:+*")
    assert host.requests[0][1] == "/a%2Fb/c'd(e)/~x;y=1,z%20!$&@:+*"


async def test_certificate_of_another_name_is_refused_though_the_authority_is_trusted(tmp_path: Path) -> None:
    with DocumentHost(tmp_path, "evil.example.com", "127.0.0.1") as host:
        fault = await refused(host.fetcher())
        assert fault.error == "temporarily_unavailable"
        assert "Hostname mismatch" in fault.detail
        assert host.requests == []


async def test_certificate_of_an_unknown_authority_is_refused(host: DocumentHost, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with DocumentHost(tmp_path / "other") as other:
        fault = await refused(host.fetcher(other.address))
        assert "certificate verify failed" in fault.detail
        assert other.requests == []


async def test_connection_of_one_name_is_never_used_for_another_at_the_same_address(host: DocumentHost) -> None:
    fetch = host.fetcher()
    await fetch(URL)
    fault = await refused(fetch, "https://victim.example.com/oauth/client.json")
    assert "Hostname mismatch" in fault.detail
    assert host.count() == 1


@pytest.mark.parametrize(
    "addresses",
    [
        pytest.param([("10.0.0.1", 443)], id="private"),
        pytest.param([("169.254.169.254", 443)], id="metadata service"),
        pytest.param([("8.8.8.8", 443), ("10.0.0.1", 443)], id="one of two"),
        pytest.param([("8.8.8.8", 443)] * 5 + [("127.0.0.1", 443)], id="the last of many"),
        pytest.param([("8.8.8.8", 443), ("::1", 443)], id="of the other family"),
        pytest.param([], id="none at all"),
    ],
)
async def test_host_with_an_address_that_is_not_public_is_never_called(addresses: list[Address]) -> None:
    async def resolve(_host: str) -> list[Address]:
        return addresses

    fault = await refused(DocumentFetcher(resolve=resolve, trust=_never))
    assert fault.error == "invalid_client"
    assert "not public" in fault.detail


async def test_name_is_resolved_once_so_that_a_second_answer_changes_nothing(host: DocumentHost) -> None:
    answers = [[host.address], [("10.0.0.1", 443)]]

    async def resolve(_host: str) -> list[Address]:
        return answers.pop(0)

    fetch = DocumentFetcher(resolve=resolve, is_public=lambda address: address == "127.0.0.1", trust=host.trust)
    await fetch(URL)
    assert host.count() == 1
    assert len(answers) == 1


async def test_next_address_is_tried_when_one_refuses(host: DocumentHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = ("127.0.0.1", closed.getsockname()[1])
    await host.fetcher(dead, host.address)(URL)
    assert host.count() == 1
    assert (await refused(host.fetcher(dead))).error == "temporarily_unavailable"


async def test_name_that_cannot_be_resolved_is_an_outage() -> None:
    async def resolve(_host: str) -> list[Address]:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    assert (await refused(DocumentFetcher(resolve=resolve, trust=_never))).error == "temporarily_unavailable"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(host: DocumentHost, status: int) -> None:
    host.answer = lambda _path: (status, {"location": URL + "2"}, b"")
    assert (await refused(host.fetcher())).error == "invalid_client"
    assert host.count() == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, "invalid_client"),
        (206, "invalid_client"),
        (400, "invalid_client"),
        (404, "invalid_client"),
        (410, "invalid_client"),
        (401, "temporarily_unavailable"),
        (403, "temporarily_unavailable"),
        (429, "temporarily_unavailable"),
        (500, "temporarily_unavailable"),
        (503, "temporarily_unavailable"),
    ],
)
async def test_status_tells_a_refusal_from_an_outage(host: DocumentHost, status: int, error: str) -> None:
    host.answer = lambda _path: (status, {"content-type": "application/json"}, b"")
    fault = await refused(host.fetcher())
    assert (fault.error, fault.detail) == (error, f"status {status}")


async def test_answer_of_exactly_the_limit_is_read_and_one_byte_more_is_refused(host: DocumentHost) -> None:
    size = MAX_DOCUMENT_BYTES
    host.answer = lambda _path: (200, {"content-type": "application/json"}, b" " * size)
    assert len((await host.fetcher()(URL)).body) == size
    size += 1
    assert "more than 64 KiB" in (await refused(host.fetcher())).detail


async def test_huge_answer_is_refused(host: DocumentHost) -> None:
    host.answer = lambda _path: (200, {"content-type": "application/json"}, b" " * 5_000_000)
    assert (await refused(host.fetcher())).error == "invalid_client"


async def test_compressed_answer_is_refused(host: DocumentHost) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    host.answer = lambda _path: (200, {"content-type": "application/json", "content-encoding": "gzip"}, bomb)
    assert "compressed" in (await refused(host.fetcher())).detail


async def test_slow_answer_is_cut_off(host: DocumentHost) -> None:
    host.drips = True
    fault = await refused(host.fetcher(total_s=0.3))
    assert (fault.error, fault.detail) == ("temporarily_unavailable", "no complete answer within 0.3 s")


async def test_host_that_accepts_and_says_nothing_is_cut_off(host: DocumentHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fetch = host.fetcher(("127.0.0.1", silent.getsockname()[1]), total_s=0.3)
        assert (await refused(fetch)).error == "temporarily_unavailable"


async def test_server_that_speaks_no_tls_is_an_outage(host: DocumentHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        plain.settimeout(5)
        fetch = host.fetcher(("127.0.0.1", plain.getsockname()[1]), total_s=2)

        def answer() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}")

        thread = Thread(target=answer)
        thread.start()
        assert (await refused(fetch)).error == "temporarily_unavailable"
        thread.join(timeout=5)


@pytest.mark.parametrize(
    "url", ["http://app.example.com/x", f"https://{HOST}/", f"https://u@{HOST}/x", "https://127.0.0.1/x"]
)
async def test_url_that_is_no_client_id_is_never_resolved(url: str) -> None:
    async def resolve(_host: str) -> list[Address]:
        raise AssertionError("resolved")

    assert (await refused(DocumentFetcher(resolve=resolve, trust=_never), url)).error == "invalid_client"


@pytest.mark.parametrize(
    ("cache_control", "max_age_s"),
    [
        ("", None),
        ("public", None),
        ("max-age=60", 60),
        ('private, max-age="90"', 90),
        ("s-maxage=5", None),
        ("max-age=x", None),
        ("max-age=-1", None),
        ("max-age=99999999999999999999", None),
        ("no-store", 0),
        ("No-Cache, max-age=60", 0),
    ],
)
async def test_age_is_what_cache_control_says(host: DocumentHost, cache_control: str, max_age_s: int | None) -> None:
    host.answer = lambda _path: good(document(), cache_control=cache_control)
    assert (await host.fetcher()(URL)).max_age_s == max_age_s


async def test_environment_has_no_say(host: DocumentHost, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await host.fetcher()(URL)
    assert host.count() == 1


async def test_system_trusts_public_authorities_alone(host: DocumentHost) -> None:
    context = system_trust()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    host.trust = lambda: context  # type: ignore[method-assign]
    assert "certificate verify failed" in (await refused(host.fetcher())).detail


def _never() -> ssl.SSLContext:
    raise AssertionError("nothing should be connected to")
