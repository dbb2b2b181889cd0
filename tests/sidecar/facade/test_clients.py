"""Which client a client_id names, under the policy of today."""

from typing import Any

import msgspec
import pytest

from postern_crds.sidecar_config import ClientConfig, ProxyConfig
from postern_sidecar.facade.artefacts import Code, Registration, fingerprint, seal_as
from postern_sidecar.facade.clients import Clients
from postern_sidecar.facade.document_fetch import Fetched, unreachable_document
from postern_sidecar.facade.document_rules import bad_document
from postern_sidecar.facade.documents import Documents
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.sealing import Purpose, Seals
from tests.sidecar.facade.building import NOW, make_context, make_ring
from tests.support.policies import PROXY, make_config, make_proxy_config

URL = "https://claude.ai/oauth/claude-code-client-metadata"
REGISTRATION = Registration(
    redirect_uris=("https://app.example.com/cb", "http://localhost/callback"),
    auth_method="client_secret_post",
    issued_at=int(NOW),
    name="App",
)


def proxy_with(**registration: Any) -> ProxyConfig:
    return msgspec.structs.replace(PROXY, registration=msgspec.structs.replace(PROXY.registration, **registration))


def documents_of(document: dict[str, Any] | OAuthFault) -> Documents:
    async def fetch(url: str) -> Fetched:
        if isinstance(document, OAuthFault):
            raise document
        return Fetched(msgspec.json.encode({"client_id": url, **document}), "application/json", None)

    return Documents(fetch)


async def refused(clients: Clients, client_id: str) -> OAuthFault:
    with pytest.raises(OAuthFault) as caught:
        await clients.find(client_id, NOW)
    return caught.value


async def test_registered_client_is_found_on_every_replica() -> None:
    client_id = seal_as(make_context().seals, REGISTRATION, NOW)
    client = await make_context().clients.find(client_id, NOW)
    assert (client.id, client.fingerprint) == (client_id, fingerprint(client_id))
    assert (client.name, client.kind, client.auth_method) == ("App", "dynamic", "client_secret_post")
    assert client.redirect_uris == REGISTRATION.redirect_uris
    assert client.grant_types == ("authorization_code", "refresh_token")


async def test_registered_client_survives_a_rotation_of_the_ring() -> None:
    client_id = seal_as(make_context(ring=make_ring("old")).seals, REGISTRATION, NOW)
    rotated = make_context(ring=make_ring("old", "new", not_before=NOW - 86400))
    assert (await rotated.clients.find(client_id, NOW)).name == "App"


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("https://app.example.com/cb", True),
        ("http://localhost:50000/callback", True),
        ("https://app.example.com/cb/", False),
        ("https://app.example.com/cb?x=1", False),
        ("https://app.example.com:443/cb", False),
        ("https://evil.example.com/cb", False),
        ("http://127.0.0.1:50000/callback", False),
        ("", False),
    ],
)
async def test_redirect_uri_must_be_a_registered_one(uri: str, allowed: bool) -> None:
    context = make_context()
    client = await context.clients.find(seal_as(context.seals, REGISTRATION, NOW), NOW)
    assert client.allows_redirect(uri) is allowed


@pytest.mark.parametrize(
    "client_id",
    [
        "",
        "unknown",
        "a" * 20000,
        "eyJhbGciOiJub25lIn0....",
        "http://app.example.com/client.json",
        "HTTPS://x.example/y",
        "é",
    ],
)
async def test_unknown_client_is_refused_so_that_it_registers_again(client_id: str) -> None:
    fault = await refused(make_context().clients, client_id)
    assert (fault.error, fault.status) == ("invalid_client", 401)


async def test_client_of_another_issuer_is_unknown() -> None:
    other = Seals(make_ring(), "https://mcp.example.com/other")
    assert (await refused(make_context().clients, seal_as(other, REGISTRATION, NOW))).error == "invalid_client"


async def test_client_of_another_ring_is_unknown() -> None:
    other = make_context(ring=make_ring("other")).seals
    assert (await refused(make_context().clients, seal_as(other, REGISTRATION, NOW))).error == "invalid_client"


async def test_sealed_text_of_another_purpose_is_no_client() -> None:
    context = make_context()
    code = Code("u", "v", "n", "c", "https://app.example.com/cb", "p", (), "a", int(NOW))
    assert (await refused(context.clients, seal_as(context.seals, code, NOW))).error == "invalid_client"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b'{"r":["https://x.example/"],"m":"none","i":1,"z":1}']
)
async def test_sealed_registration_of_another_shape_is_no_client(content: bytes) -> None:
    context = make_context()
    client_id = context.seals.seal(Purpose.REGISTRATION, content, NOW)
    assert (await refused(context.clients, client_id)).error == "invalid_client"


async def test_registered_client_is_refused_once_registration_is_turned_off() -> None:
    client_id = seal_as(make_context().seals, REGISTRATION, NOW)
    closed = make_context(make_proxy_config(proxy_with(dynamic=False)))
    assert (await refused(closed.clients, client_id)).error == "invalid_client"


async def test_redirect_uris_that_the_policy_allows_no_longer_are_dropped() -> None:
    client_id = seal_as(make_context().seals, REGISTRATION, NOW)
    stricter = make_context(make_proxy_config(proxy_with(allowed_hosts=("other.example.com",))))
    client = await stricter.clients.find(client_id, NOW)
    assert client.redirect_uris == ("http://localhost/callback",)
    only_web = msgspec.structs.replace(REGISTRATION, redirect_uris=("https://app.example.com/cb",))
    assert (await refused(stricter.clients, seal_as(stricter.seals, only_web, NOW))).error == "invalid_client"


async def test_grant_types_that_the_policy_offers_no_longer_are_dropped() -> None:
    context = make_context(make_proxy_config(msgspec.structs.replace(PROXY, grant_types=("authorization_code",))))
    client = await context.clients.find(seal_as(context.seals, REGISTRATION, NOW), NOW)
    assert client.grant_types == ("authorization_code",)


async def test_client_of_the_policy_is_public_and_exact_with_free_loopback_ports() -> None:
    configured = ClientConfig(id="corp-cli", name="CLI", redirect_uris=("http://127.0.0.1/cb", "https://cli.corp/cb"))
    context = make_context(make_proxy_config(msgspec.structs.replace(PROXY, clients=(configured,))))
    client = await context.clients.find("corp-cli", NOW)
    assert (client.kind, client.auth_method, client.name) == ("configured", "none", "CLI")
    assert client.allows_redirect("http://127.0.0.1:4711/cb")
    assert client.allows_redirect("https://cli.corp/cb")
    assert not client.allows_redirect("https://cli.corp/cb2")
    assert (await refused(context.clients, "CORP-CLI")).error == "invalid_client"


async def test_document_client_is_found_with_what_its_document_says() -> None:
    document = {
        "client_name": "Claude Code",
        "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "none",
    }
    client = await make_context(documents=documents_of(document)).clients.find(URL, NOW)
    assert (client.id, client.kind, client.auth_method, client.name) == (URL, "document", "none", "Claude Code")
    assert client.allows_redirect("http://127.0.0.1:39123/callback")
    assert client.grant_types == ("authorization_code", "refresh_token")


async def test_redirect_uris_of_a_document_obey_the_rules_of_registration() -> None:
    uris = ["javascript:/x", "https://evil.example/cb", "https://claude.ai/cb", "http://localhost/cb"]
    context = make_context(
        make_proxy_config(proxy_with(allowed_hosts=("claude.ai",))),
        documents=documents_of({"client_name": "x", "redirect_uris": uris}),
    )
    client = await context.clients.find(URL, NOW)
    assert client.redirect_uris == ("https://claude.ai/cb", "http://localhost/cb")


async def test_document_without_an_allowed_redirect_uri_is_refused() -> None:
    documents = documents_of({"client_name": "x", "redirect_uris": ["javascript:/x", "http://evil.example/cb"]})
    assert (await refused(make_context(documents=documents).clients, URL)).error == "invalid_client"


async def test_document_client_is_refused_unfetched_when_documents_are_turned_off() -> None:
    closed = make_context(make_proxy_config(proxy_with(metadata_documents=False)))
    assert (await refused(closed.clients, URL)).error == "invalid_client"


@pytest.mark.parametrize("fault", [unreachable_document("down"), bad_document("bad")], ids=["outage", "bad document"])
async def test_fault_of_a_document_keeps_its_kind(fault: OAuthFault) -> None:
    assert (await refused(make_context(documents=documents_of(fault)).clients, URL)).error == fault.error


async def test_client_of_the_policy_without_a_name_is_called_by_its_id() -> None:
    configured = ClientConfig(id="corp-cli", name="", redirect_uris=("http://127.0.0.1/cb",))
    context = make_context(make_proxy_config(msgspec.structs.replace(PROXY, clients=(configured,))))
    assert (await context.clients.find("corp-cli", NOW)).name == "corp-cli"


def test_policy_in_mode_direct_has_no_clients() -> None:
    context = make_context()
    with pytest.raises(ValueError, match="mode Proxy"):
        Clients(make_config(), context.seals, documents_of({}))
