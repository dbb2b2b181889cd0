"""Discovery through the gate: who may read what, from where, and what an outage does (SPEC 13-26)."""

import json

import pytest

from postern_sidecar.outcome import Reason
from tests.sidecar.gate.conftest import MakeDoor
from tests.sidecar.gate.door import Door, body, values
from tests.support.fake_issuer import METADATA_PATH, OPENID_PATH, Behaviour

PRM = "/.well-known/oauth-protected-resource"


@pytest.mark.parametrize("path", [PRM, f"{PRM}/mcp", f"{PRM}/mcp/", f"{PRM}/"])
async def test_resource_metadata_needs_no_token_host_origin_or_network(door: Door, path: str) -> None:
    answer = await door.answer("GET", path, ("host", "evil.example"), ("origin", "https://any.example"))
    assert answer.status == 200
    document = body(answer)
    assert document["resource"] == "https://mcp.example.com/mcp"
    assert document["authorization_servers"] == [door.fake.issuer]
    assert values(answer, "access-control-allow-origin") == ["*"]
    assert values(answer, "cache-control") == ["public, max-age=60"]
    assert door.fake.requests == []


@pytest.mark.parametrize("suffix", ["", "/mcp"])
@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
async def test_server_metadata_is_the_issuers_document_byte_for_byte(door: Door, name: str, suffix: str) -> None:
    """SPEC 21."""
    answer = await door.answer("GET", f"/.well-known/{name}{suffix}")
    assert answer.body == door.fake.document(METADATA_PATH)
    assert values(answer, "access-control-allow-origin") == ["*"]


async def test_resource_metadata_spells_the_issuer_as_its_document_does(door: Door) -> None:
    """SPEC 17."""
    door.fake.metadata = {"issuer": door.fake.issuer + "/"}
    await door.gate.upstream.issuer.refresh_due()
    answer = await door.answer("GET", PRM)
    assert body(answer)["authorization_servers"] == [door.fake.issuer + "/"]


async def test_anonymous_requests_cost_one_fetch(door: Door) -> None:
    for _ in range(20):
        assert (await door.answer("GET", METADATA_PATH)).status == 200
    assert door.fake.requests == [METADATA_PATH]


async def test_outage_without_a_copy_is_503_fetched_once_per_cool_down(door: Door) -> None:
    door.fake.behaviours = {METADATA_PATH: Behaviour.ERROR}
    for _ in range(5):
        answer = await door.answer("GET", METADATA_PATH)
        assert (answer.status, answer.reason) == (503, Reason.METADATA_UNAVAILABLE)
        assert values(answer, "retry-after") == ["5"]
        assert values(answer, "access-control-allow-origin") == ["*"]
    assert len(door.fake.requests) == 1


async def test_outage_with_a_copy_shows_nothing(door: Door) -> None:
    assert (await door.answer("GET", METADATA_PATH)).status == 200
    door.fake.behaviours = dict.fromkeys((METADATA_PATH, OPENID_PATH), Behaviour.ERROR)
    await door.gate.upstream.issuer.metadata.refresh()
    assert (await door.answer("GET", METADATA_PATH)).status == 200


@pytest.mark.parametrize("path", [PRM, METADATA_PATH])
async def test_documents_answer_head_and_preflights_and_refuse_the_rest(door: Door, path: str) -> None:
    assert (await door.answer("HEAD", path)).status == 200
    preflight = await door.answer("OPTIONS", path, ("origin", "https://any.example"))
    assert preflight.status == 204
    assert values(preflight, "access-control-allow-origin") == ["*"]
    assert "mcp-protocol-version" in values(preflight, "access-control-allow-headers")[0]
    for method in ("POST", "PUT", "DELETE", "TRACE", "get"):
        refused = await door.answer(method, path)
        assert refused.status == 405
        assert values(refused, "allow") == ["GET, HEAD, OPTIONS"]


@pytest.mark.parametrize(
    "path",
    [
        f"{PRM}/other",
        f"{PRM}x",
        "/.well-known/oauth-anything",
        "/.well-known/oauth-authorization-server/x/y",
        "/.well-known/openid-configuration2",
        "/.well-known/%6fauth-protected-resource",
        "/.Well-Known/OAuth-Protected-Resource",
    ],
)
async def test_every_other_path_of_discovery_is_404_even_with_a_token(make_door: MakeDoor, path: str) -> None:
    door = make_door(server={"public_paths": ("/.well-known/*",)})
    for method in ("GET", "POST", "OPTIONS"):
        answer = await door.answer(method, path, door.bearer())
        assert (answer.status, json.loads(answer.body)["error"]) == (404, "not_found")
