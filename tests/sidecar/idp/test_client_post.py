from collections.abc import AsyncIterator, Iterator

import pytest

from postern_sidecar.errors import CaUnavailable, IdpError, IdpUnreachable, MalformedDocument
from postern_sidecar.idp.client import IdpClient
from tests.support.fake_idp import TOKEN_PATH, USERINFO_PATH, FakeIdp
from tests.support.fake_issuer import Behaviour
from tests.support.tokens import SigningPair


@pytest.fixture
def idp(rsa_pair: SigningPair) -> Iterator[FakeIdp]:
    with FakeIdp(rsa_pair) as provider:
        yield provider


@pytest.fixture
async def client() -> AsyncIterator[IdpClient]:
    made = IdpClient(None, ca_required=False, total_s=0.3)
    yield made
    await made.aclose()


async def test_form_arrives_as_it_was_sent(client: IdpClient, idp: FakeIdp) -> None:
    form = {"grant_type": "x", "code": "a+b/c=d&e é"}
    answer = await client.post(idp.origin + TOKEN_PATH, form, headers={"authorization": "Basic eDp5"})
    (call,) = idp.calls
    assert (call.method, call.form, call.headers["authorization"]) == ("POST", form, "Basic eDp5")
    assert call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert (call.headers["accept"], call.headers["accept-encoding"]) == ("application/json", "identity")
    assert (answer.status, answer.content_type, answer.body) == (
        401,
        "application/json",
        b'{"error": "invalid_client"}',
    )


async def test_any_method_with_headers_and_body_is_sent(client: IdpClient, idp: FakeIdp) -> None:
    headers = {"authorization": "Bearer x", "accept": "application/vnd.github+json"}
    answer = await client.send("GET", idp.origin + USERINFO_PATH, headers=headers)
    assert (answer.status, idp.calls[0].method, idp.calls[0].headers["accept"]) == (
        401,
        "GET",
        "application/vnd.github+json",
    )


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (Behaviour.ERROR, 500),
        (Behaviour.TOO_MANY, 429),
        (Behaviour.NOT_FOUND, 404),
        (Behaviour.REDIRECT_AWAY, 307),
        (Behaviour.REDIRECT_HERE, 307),
    ],
)
async def test_every_status_is_an_answer_and_no_redirect_is_followed(
    client: IdpClient, idp: FakeIdp, behaviour: Behaviour, status: int
) -> None:
    idp.behaviours[TOKEN_PATH] = behaviour
    assert (await client.post(idp.origin + TOKEN_PATH, {"code": "x"})).status == status
    assert len(idp.calls) == 1


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Behaviour.HANG, IdpUnreachable),
        (Behaviour.SLOW, IdpUnreachable),
        (Behaviour.HUGE, MalformedDocument),
        (Behaviour.COMPRESSED, MalformedDocument),
    ],
)
async def test_misbehaviour_is_an_error_without_what_was_sent(
    client: IdpClient, idp: FakeIdp, behaviour: Behaviour, error: type[IdpError]
) -> None:
    idp.behaviours[TOKEN_PATH] = behaviour
    with pytest.raises(error) as caught:
        await client.post(idp.origin + TOKEN_PATH, {"code": "s3cret"}, headers={"authorization": "Basic czNjcmV0"})
    assert idp.origin in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "czNjcmV0" not in str(caught.value)


@pytest.mark.parametrize("value", ["Bearer s3cret\nx: y", "Bearer s3cret\x00", "Bearer s3crét"])
async def test_header_that_cannot_be_sent_is_an_error_that_does_not_show_it(
    client: IdpClient, idp: FakeIdp, value: str
) -> None:
    with pytest.raises(IdpError) as caught:
        await client.send("GET", idp.origin + USERINFO_PATH, headers={"authorization": value})
    assert "s3cr" not in str(caught.value)
    assert caught.value.__cause__ is None or "s3cr" not in str(caught.value.__cause__)
    assert idp.calls == []


async def test_cookies_are_not_kept_between_requests(client: IdpClient, idp: FakeIdp) -> None:
    idp.headers = {"Set-Cookie": "session=of-one-user; Path=/"}
    for _ in range(2):
        await client.post(idp.origin + TOKEN_PATH, {"code": "x"})
    await client.get(idp.jwks_uri)
    assert all("cookie" not in call.headers for call in idp.calls)


@pytest.mark.parametrize("url", ["http://sso.example.com/token", "ftp://127.0.0.1/x", "file:///etc/passwd", "", "x"])
async def test_url_that_is_neither_https_nor_loopback_is_never_called(client: IdpClient, url: str) -> None:
    with pytest.raises(MalformedDocument):
        await client.post(url, {"code": "x"})


async def test_closed_port_is_unreachable(client: IdpClient, idp: FakeIdp) -> None:
    idp.close()
    with pytest.raises(IdpUnreachable, match="ConnectError"):
        await client.post(idp.origin + TOKEN_PATH, {})


async def test_required_ca_that_is_absent_is_named() -> None:
    with pytest.raises(CaUnavailable, match="caBundle"):
        await IdpClient(None, ca_required=True).post("https://127.0.0.1:1/token", {})
