"""The facade on a socket: bodies that are too long, too slow or cut off, and what is written of each request."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from postern_sidecar.facade.facade import Facade
from postern_sidecar.facade_endpoints import FacadeEndpoint
from postern_sidecar.gate.decision import FacadeCall
from postern_sidecar.metrics import FacadeMetrics, Metrics, create_metrics
from postern_sidecar.proxy.server import MAX_BODY_BYTES, FacadeServer
from tests.sidecar.facade.building import make_context
from tests.sidecar.forward.rig import OpenGate, connect, guard
from tests.support.logs import EventDict, capture_logs
from tests.support.policies import make_proxy_config
from tests.support.samples import sample

LIMIT = MAX_BODY_BYTES


class Stage:
    """A sidecar whose every path is one endpoint."""

    def __init__(self, port: int, metrics: Metrics, lines: list[EventDict]) -> None:
        self.port = port
        self.metrics = metrics
        self.lines = lines
        self.url = f"http://127.0.0.1:{port}/"

    def audited(self) -> list[EventDict]:
        return [line for line in self.lines if line["event"] == "facade"]

    def counted(self, endpoint: str, event: str) -> float | None:
        return sample(self.metrics.registry, "postern_facade_requests_total", endpoint=endpoint, event=event)


@asynccontextmanager
async def stage(endpoint: FacadeEndpoint, *, audit: bool = True, body_s: float = 5.0) -> AsyncIterator[Stage]:
    metrics = create_metrics()
    config = make_proxy_config(log={"audit": audit})
    server = FacadeServer(
        Facade(make_context(config)), FacadeMetrics(metrics.registry), audit=config.log.audit, body_s=body_s
    )
    with capture_logs() as lines:
        async with guard(9, gate=OpenGate(FacadeCall(endpoint)), config=config, facade=server) as rig:
            yield Stage(rig.port, metrics, lines)


async def send(stage: Stage, method: str = "POST", **content: object) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, stage.url, **content)  # type: ignore[arg-type]


REGISTRATION = {"redirect_uris": ["http://127.0.0.1/cb"], "client_name": "Test"}


async def test_answer_goes_out_and_is_counted_and_recorded() -> None:
    async with stage(FacadeEndpoint.REGISTER) as stand:
        response = await send(stand, json=REGISTRATION, headers={"x-request-id": "r-1"})
        assert response.status_code == 201
        assert response.headers["content-length"] == str(len(response.content))
        assert response.headers["cache-control"] == "no-store"
        (line,) = stand.audited()
        assert (line["endpoint"], line["result"], line["status"], line["request_id"]) == (
            "register",
            "registered",
            201,
            "r-1",
        )
        assert len(line["client"] or "") <= 16, "a sealed id is a kilobyte"
        assert response.json()["client_id"] not in json.dumps(stand.lines)
        assert stand.counted("register", "registered") == 1


async def test_nothing_is_recorded_when_it_is_off() -> None:
    async with stage(FacadeEndpoint.REGISTER, audit=False) as stand:
        await send(stand, json=REGISTRATION)
        assert stand.audited() == []
        assert stand.counted("register", "registered") == 1


async def test_head_gets_the_head_alone() -> None:
    async with stage(FacadeEndpoint.AUTHORIZE) as stand:
        got, headed = await send(stand, "GET"), await send(stand, "HEAD")
        assert headed.status_code == got.status_code == 400
        assert headed.content == b""
        assert got.content


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield b"x" * 1024
    yield b"x" * (size % 1024)


@pytest.mark.parametrize("endpoint", FacadeEndpoint)
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunks"])
async def test_body_above_the_limit_is_refused_by_endpoint_and_its_sender_hears_it(
    endpoint: FacadeEndpoint, is_chunked: bool
) -> None:
    async with stage(endpoint) as stand:
        body = chunks(LIMIT + 1) if is_chunked else b"x" * (LIMIT + 1)
        response = await send(stand, content=body)
        assert response.status_code == 413
        assert stand.counted(endpoint.value, "request_too_large") == 1
        is_page = endpoint in (FacadeEndpoint.AUTHORIZE, FacadeEndpoint.CONSENT, FacadeEndpoint.CALLBACK)
        assert response.headers["content-type"].startswith("text/html" if is_page else "application/json")
        assert stand.audited()[0]["status"] == 413


async def test_body_at_the_limit_is_read() -> None:
    async with stage(FacadeEndpoint.TOKEN) as stand:
        form = b"grant_type=authorization_code&client_id="
        response = await send(
            stand,
            content=form + b"x" * (LIMIT - len(form)),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


async def test_announced_body_above_the_limit_is_refused_before_it_comes() -> None:
    async with stage(FacadeEndpoint.TOKEN) as stand, connect(stand.port) as client:
        await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n")
        head = await client.head()
        assert b" 413 " in head
        assert b"connection: close" in head.lower()


async def test_body_that_does_not_come_is_given_up() -> None:
    async with stage(FacadeEndpoint.TOKEN, body_s=0.1) as stand, connect(stand.port) as client:
        await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        assert b" 408 " in await client.head()
        assert stand.counted("token", "request_timeout") == 1


async def test_client_that_goes_away_is_not_an_event() -> None:
    async with stage(FacadeEndpoint.TOKEN) as stand:
        async with connect(stand.port) as client:
            await client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        response = await send(stand, data={})
        assert response.status_code == 400
        async with asyncio.timeout(5):
            while len(stand.audited()) < 1:
                await asyncio.sleep(0.01)
        assert [line["result"] for line in stand.audited()] == ["invalid_request"]


async def test_secrets_of_a_request_are_in_no_line() -> None:
    secrets = {"code": "the-code-itself", "code_verifier": "v" * 43, "client_secret": "the-secret", "client_id": "x"}
    async with stage(FacadeEndpoint.TOKEN) as stand:
        await send(stand, data={"grant_type": "authorization_code", **secrets}, params={"code": "the-code-in-a-query"})
        text = json.dumps(stand.lines)
    assert stand.audited()
    for secret in ("the-code", "v" * 43, "the-secret"):
        assert secret not in text


async def test_without_a_key_ring_every_endpoint_is_unavailable() -> None:
    metrics = create_metrics()
    server = FacadeServer(None, FacadeMetrics(metrics.registry), audit=False)
    assert server.client_state() == "keys_missing"
    for endpoint in FacadeEndpoint:
        gate = OpenGate(FacadeCall(endpoint))
        async with guard(9, gate=gate, config=make_proxy_config(), facade=server) as rig:
            response = await send(Stage(rig.port, metrics, []), "GET")
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
