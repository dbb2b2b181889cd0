"""Who may speak for a client at the token and revocation endpoints."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus

import msgspec
import pytest

from postern_crds.sidecar_config import ClientConfig
from postern_sidecar.facade.client_authentication import authenticate
from postern_sidecar.facade.clients import Client
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.document_fetch import Fetched, unreachable_document
from postern_sidecar.facade.documents import Documents
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.messages import read_form
from postern_sidecar.facade.register import register
from tests.sidecar.facade.building import basic, body_of, make_context, make_request, make_ring
from tests.support.policies import PROXY, make_proxy_config

URL = "https://app.example.com/client.json"


async def enrol(context: Context, method: str) -> tuple[str, str]:
    """Client id and secret of a new client; the secret is empty for a public one."""
    body = {"redirect_uris": ["http://localhost/cb"], "token_endpoint_auth_method": method}
    information = body_of(await register(make_request("POST", json=body), context))
    return information["client_id"], information.get("client_secret", "")


async def ask(context: Context, form: dict[str, str], headers: Any = ()) -> Client:
    request = make_request("POST", form={"grant_type": "authorization_code", **form}, headers=headers)
    return await authenticate(request, read_form(request), context)


async def refused(context: Context, form: dict[str, str], headers: Any = ()) -> OAuthFault:
    with pytest.raises(OAuthFault) as caught:
        await ask(context, form, headers)
    assert not any(value in str(caught.value) for value in form.values() if len(value) > 4)
    return caught.value


async def test_public_client_needs_its_id_alone() -> None:
    context = make_context()
    client_id, _ = await enrol(context, "none")
    assert (await ask(context, {"client_id": client_id})).id == client_id


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
async def test_secret_is_taken_from_the_form_and_from_basic(method: str) -> None:
    context = make_context()
    client_id, secret = await enrol(context, method)
    assert (await ask(context, {"client_id": client_id, "client_secret": secret})).id == client_id
    assert (await ask(context, {}, basic(client_id, secret))).id == client_id
    assert (await ask(context, {"client_id": client_id}, basic(client_id, secret))).id == client_id
    assert (await ask(context, {}, basic(quote_plus(client_id), quote_plus(secret)))).id == client_id


async def test_secret_is_good_on_every_replica_and_after_a_rotation_of_the_ring() -> None:
    client_id, secret = await enrol(make_context(ring=make_ring("old")), "client_secret_post")
    rotated = make_context(ring=make_ring("old", "new"))
    assert (await ask(rotated, {"client_id": client_id, "client_secret": secret})).id == client_id


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "Basic"])
async def test_name_of_the_scheme_may_be_of_any_case(scheme: str) -> None:
    context = make_context()
    client_id, secret = await enrol(context, "client_secret_basic")
    value = basic(client_id, secret)["authorization"].removeprefix("Basic")
    assert (await ask(context, {}, {"authorization": scheme + value})).id == client_id


async def test_public_client_may_send_basic_without_a_password() -> None:
    context = make_context()
    client_id, _ = await enrol(context, "none")
    assert (await ask(context, {}, basic(client_id, ""))).id == client_id


@pytest.mark.parametrize(
    "secret", ["", "wrong", "x" * 5000, "é", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
)
@pytest.mark.parametrize("by_basic", [True, False], ids=["basic", "form"])
async def test_wrong_or_missing_secret_is_refused(secret: str, by_basic: bool) -> None:
    context = make_context()
    client_id, _ = await enrol(context, "client_secret_basic")
    if by_basic:
        fault = await refused(context, {}, basic(client_id, secret))
    else:
        fault = await refused(context, {"client_id": client_id, "client_secret": secret})
    assert (fault.error, fault.status, fault.challenges_basic) == ("invalid_client", 401, by_basic)


async def test_secret_of_another_client_is_refused() -> None:
    context = make_context()
    client_id, secret = await enrol(context, "client_secret_post")
    _, other_secret = await enrol(context, "client_secret_post")
    for wrong in (other_secret, secret[:-1], secret + "A", secret.swapcase()):
        assert (await refused(context, {"client_id": client_id, "client_secret": wrong})).error == "invalid_client"


async def test_secret_from_another_ring_or_issuer_is_refused() -> None:
    client_id, secret = await enrol(make_context(ring=make_ring("other")), "client_secret_post")
    assert (await refused(make_context(), {"client_id": client_id, "client_secret": secret})).error == "invalid_client"
    elsewhere = make_context(make_proxy_config(msgspec.structs.replace(PROXY, issuer="https://other.example.com")))
    client_id, secret = await enrol(elsewhere, "client_secret_post")
    assert (await refused(make_context(), {"client_id": client_id, "client_secret": secret})).error == "invalid_client"


async def test_public_client_with_a_secret_is_refused_even_with_the_mac_of_its_id() -> None:
    context = make_context()
    client_id, _ = await enrol(context, "none")
    assert (await refused(context, {"client_id": client_id, "client_secret": "guess"})).error == "invalid_client"


@pytest.mark.parametrize("client_id", ["unknown", "a.b.c.d.e", "http://x.example/y"])
async def test_unknown_client_is_401_invalid_client_so_that_it_registers_again(client_id: str) -> None:
    fault = await refused(make_context(), {"client_id": client_id})
    assert (fault.error, fault.status, fault.challenges_basic) == ("invalid_client", 401, False)
    assert (await refused(make_context(), {}, basic(client_id, "x"))).challenges_basic


async def test_request_without_a_client_is_refused() -> None:
    assert (await refused(make_context(), {})).error == "invalid_client"
    assert (await refused(make_context(), {"client_id": ""})).error == "invalid_client"


async def test_two_methods_at_once_are_refused() -> None:
    context = make_context()
    client_id, secret = await enrol(context, "client_secret_basic")
    form = {"client_id": client_id, "client_secret": secret}
    assert (await refused(context, form, basic(client_id, secret))).error == "invalid_request"
    assert (await refused(context, {"client_secret": secret}, basic(client_id, secret))).error == "invalid_request"


async def test_two_authorization_headers_are_refused() -> None:
    context = make_context()
    client_id, secret = await enrol(context, "client_secret_basic")
    header = ("authorization", basic(client_id, secret)["authorization"])
    assert (await refused(context, {}, [header, header])).error == "invalid_request"


async def test_header_and_form_that_name_different_clients_are_refused() -> None:
    context = make_context()
    client_id, secret = await enrol(context, "client_secret_basic")
    other_id, _ = await enrol(context, "none")
    assert (await refused(context, {"client_id": other_id}, basic(client_id, secret))).error == "invalid_request"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YTp",
        "Basic YTpi YTpi",
        "Basic " + b64encode(b"no colon").decode(),
        "Basic " + b64encode(b":no name").decode(),
        "Basic " + b64encode(b"\xff\xfe:x").decode(),
        "Basic " + b64encode(b"%ff%fe:x").decode(),
        "Basic YTpi\u00e9",
        "Bearer abc",
        "Negotiate abc",
        "BasicYTpi",
    ],
)
async def test_header_that_is_no_valid_basic_is_refused_with_a_challenge(value: str) -> None:
    context = make_context()
    client_id, _ = await enrol(context, "none")
    for form in ({}, {"client_id": client_id}):
        fault = await refused(context, form, {"authorization": value})
        assert (fault.error, fault.status, fault.challenges_basic) == ("invalid_client", 401, True)


@pytest.mark.parametrize("member", ["client_assertion", "client_assertion_type"])
async def test_client_assertion_is_refused(member: str) -> None:
    context = make_context()
    client_id, _ = await enrol(context, "none")
    assert (await refused(context, {"client_id": client_id, member: "eyJ"})).error == "invalid_client"


async def test_client_of_the_policy_is_public() -> None:
    configured = ClientConfig(id="cli", name="", redirect_uris=("http://localhost/cb",))
    context = make_context(make_proxy_config(msgspec.structs.replace(PROXY, clients=(configured,))))
    assert (await ask(context, {"client_id": "cli"})).kind == "configured"
    assert (await refused(context, {"client_id": "cli", "client_secret": "x"})).error == "invalid_client"


async def test_document_client_is_public() -> None:
    async def fetch(url: str) -> Fetched:
        document = {"client_id": url, "client_name": "x", "redirect_uris": ["http://localhost/cb"]}
        return Fetched(msgspec.json.encode(document), "application/json", None)

    context = make_context(documents=Documents(fetch))
    assert (await ask(context, {"client_id": URL})).kind == "document"
    assert (await refused(context, {"client_id": URL, "client_secret": "x"})).error == "invalid_client"


async def test_document_that_cannot_be_fetched_is_an_outage_and_no_refusal() -> None:
    async def fetch(url: str) -> Fetched:
        raise unreachable_document("down")

    fault = await refused(make_context(documents=Documents(fetch)), {"client_id": URL})
    assert (fault.error, fault.status, fault.retry_after_s) == ("temporarily_unavailable", 503, 5)
