"""The health port: what it answers, and that it answers nothing else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from postern_sidecar.gate.gate import IssuerHealth
from postern_sidecar.health.app import create_health_app
from postern_sidecar.health.probes import HttpGet, Probe
from postern_sidecar.health.status import status_document, unready_reasons
from tests.support.policies import make_config
from tests.support.upstream import answering, serve


@dataclass
class FakeSource:
    reasons: Sequence[str] = ()
    listening: bool = True
    document: dict[str, Any] = field(default_factory=dict)

    def is_listening(self) -> bool:
        return self.listening

    def unready_reasons(self) -> Sequence[str]:
        return self.reasons

    def status_document(self) -> dict[str, Any]:
        return self.document

    def metrics_text(self) -> bytes:
        return b"postern_decisions_total 1.0\n"


async def request(
    path: str, source: FakeSource, *, method: str = "GET", probes: dict[str, Probe] | None = None
) -> httpx.Response:
    app = create_health_app(source, probes or {}, upstream_host="127.0.0.1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pod:19872") as client:
        return await client.request(method, path)


async def test_started_ready_and_alive_are_200() -> None:
    for path in ("/startupz", "/readyz", "/livez"):
        assert (await request(path, FakeSource())).status_code == 200


async def test_unready_is_503_with_each_reason_and_still_alive() -> None:
    source = FakeSource(reasons=["no keys", "draining"], listening=False)
    ready = await request("/readyz", source)
    assert (ready.status_code, ready.text) == (503, "no keys\ndraining\n")
    assert (await request("/startupz", source)).status_code == 503
    assert (await request("/livez", source)).status_code == 200


async def test_metrics_and_status_are_served() -> None:
    source = FakeSource(document={"configHash": "abc"})
    metrics = await request("/metrics", source)
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert (await request("/status", source)).json() == {"configHash": "abc"}


@pytest.mark.parametrize(
    "path",
    ["/", "/mcp", "/app-health", "/app-health/app", "/app-health/app/liveness", "/app-health/app/readiness/x", "/docs"],
)
async def test_everything_else_is_404(path: str) -> None:
    probes = {"app/readiness": Probe(http_get=HttpGet(port=1))}
    assert (await request(path, FakeSource(), probes=probes)).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_get_and_head_are_allowed(method: str) -> None:
    probes = {"app/readiness": Probe(http_get=HttpGet(port=1))}
    for path in ("/status", "/readyz", "/app-health/app/readiness"):
        assert (await request(path, FakeSource(), method=method, probes=probes)).status_code == 405
    assert (await request("/readyz", FakeSource(), method="HEAD")).status_code == 200


async def test_probe_gives_the_status_of_the_server_and_not_one_byte_of_its_body() -> None:
    reply = b"HTTP/1.1 418 T\r\nx-secret: 1\r\ncontent-length: 6\r\n\r\nsecret"
    async with serve(answering(reply)) as server:
        probes = {"app/readiness": Probe(http_get=HttpGet(port=server.port))}
        response = await request("/app-health/app/readiness", FakeSource(), probes=probes)
    assert (response.status_code, response.content) == (418, b"")
    assert "x-secret" not in response.headers


def test_status_document_has_the_agreed_form() -> None:
    issuer = IssuerHealth(
        issuer="https://sso.example.com",
        reachable=False,
        jwks_keys=2,
        last_success=1_700_000_000.9,
        last_error="timed out",
        registration=True,
        metadata_documents=False,
        iss_parameter=True,
        pkce=True,
        verified_tokens=7,
        client="secret_missing",
    )
    config = make_config(policy={"uid": "u-1", "generation": 4})
    document = status_document(config, issuer, degraded="policy.json: is torn; render it again", started_at=0)
    assert json.loads(json.dumps(document)) == {
        "schemaVersion": 1,
        "configHash": config.hash,
        "generation": 4,
        "policy": {"namespace": "team-a", "name": "weather", "uid": "u-1"},
        "degraded": "policy.json: is torn; render it again",
        "issuer": {
            "issuer": "https://sso.example.com",
            "reachable": False,
            "jwksKeys": 2,
            "lastSuccess": "2023-11-14T22:13:20Z",
            "lastError": "timed out",
            "registration": True,
            "metadataDocuments": False,
            "issParameter": True,
            "pkce": True,
            "client": "secret_missing",
        },
        "startedAt": "1970-01-01T00:00:00Z",
    }


def test_status_document_without_a_policy_claims_no_hash() -> None:
    document = status_document(None, None, degraded="x", started_at=0)
    assert (document["configHash"], document["policy"], document["issuer"]) == ("", None, None)


def test_ready_once_keys_were_loaded_even_while_the_newest_policy_is_bad() -> None:
    assert unready_reasons(has_policy=True, waits_for=None, fault="torn", is_draining=False) == []
    assert unready_reasons(has_policy=False, waits_for=None, fault="torn", is_draining=False) == [
        "no usable policy: torn"
    ]
    assert len(unready_reasons(has_policy=True, waits_for="keys", fault=None, is_draining=True)) == 2
