"""The process: from its command line to its end, with an issuer and a server on real sockets."""

import asyncio
import json
import time
from pathlib import Path

import httpx
import pytest

from postern_crds.sidecar_config import encode
from tests.sidecar.forward.rig import connect
from tests.sidecar.policy.volume import Volume
from tests.sidecar.process import Process, run_sidecar, spawn
from tests.support.fake_issuer import FakeIssuer
from tests.support.policies import RESOURCE_URL, make_config
from tests.support.tokens import SigningPair, claims_for, issue
from tests.support.upstream import Connection, answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def policy(issuer: FakeIssuer, **changes: dict[str, object]) -> bytes:
    place = {"issuer": issuer.issuer, "metadata_urls": issuer.metadata_urls}
    return encode(make_config(issuer=place, **changes)).encode()


def request(token: str, *, method: str = "GET") -> bytes:
    return f"{method} /mcp HTTP/1.1\r\nhost: mcp.example.com\r\nauthorization: Bearer {token}\r\n\r\n".encode()


async def until_ready(sidecar: Process) -> None:
    async with asyncio.timeout(10):
        while (await sidecar.health("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


@pytest.fixture
def token(fake_issuer: FakeIssuer, rsa_pair: SigningPair) -> str:
    return issue(rsa_pair, claims_for(fake_issuer.issuer, RESOURCE_URL, time.time()))


async def test_from_start_over_reloads_to_the_end(tmp_path: Path, fake_issuer: FakeIssuer, token: str) -> None:
    volume = Volume(tmp_path)
    volume.swap({"policy.json": b'{"schemaVersion": 99}'})
    seen: list[tuple[bytes, bytes]] = []
    async with (
        serve(answering(OK, OK, seen=seen)) as upstream,
        run_sidecar(tmp_path, upstream.port) as sidecar,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{sidecar.port}", trust_env=False) as client,
    ):
        client.headers["host"] = "mcp.example.com"
        bearer = {"authorization": f"Bearer {token}"}

        fault = await sidecar.line("policy not usable")
        assert "99" in fault["fault"]
        assert (await client.post("/mcp", headers=bearer)).status_code == 503
        assert (await sidecar.health("/startupz")).status_code == 200
        assert "schemaVersion 99" in (await sidecar.health("/readyz")).text

        volume.swap({"policy.json": policy(fake_issuer)})
        await sidecar.line("policy in force")
        await until_ready(sidecar)
        refused = await client.post("/mcp")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer ")
        answered = await client.post("/mcp", headers=bearer, content=b"body")
        assert (answered.status_code, answered.content) == (200, b"ok")
        assert seen[0][1] == b"body"
        assert b"x-mcp-user-id: alice" in seen[0][0]
        assert token.encode() not in seen[0][0]

        volume.swap({"policy.json": b""})
        await sidecar.line("policy not usable")
        status = (await sidecar.health("/status")).json()
        assert "is empty" in status["degraded"]
        assert status["configHash"] == json.loads(policy(fake_issuer))["hash"]
        assert (await client.post("/mcp", headers=bearer)).status_code == 200
        assert (await sidecar.health("/readyz")).status_code == 200
        metrics = (await sidecar.health("/metrics")).text
        assert 'postern_policy_loads_total{result="refused"} 2.0' in metrics
        assert "postern_policy_degraded 1.0" in metrics

        volume.swap(
            {"policy.json": policy(fake_issuer, verification={"required_scopes": ("other",)}, log={"audit": False})}
        )
        await sidecar.line("policy in force")
        assert (await client.post("/mcp", headers=bearer)).status_code == 403
        assert (await sidecar.health("/status")).json()["degraded"] is None

        sidecar.terminate()
        lines = await sidecar.rest()
        assert await sidecar.exit_code() == 0
    assert token not in json.dumps(lines)
    assert [line["outcome"] for line in lines if line["event"] == "decision"] == [
        "unauthenticated",
        "forwarded",
        "forwarded",
    ]


async def streaming(connection: Connection) -> None:
    await connection.request()
    await connection.send(STREAM, b"3\r\n:1\n\r\n")
    await connection.read_until_gone()


async def test_open_stream_ends_within_the_drain_time_while_new_connections_are_refused(
    tmp_path: Path, fake_issuer: FakeIssuer, token: str
) -> None:
    (tmp_path / "policy.json").write_bytes(policy(fake_issuer))
    finish = asyncio.Event()

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(STREAM, b"3\r\n:1\n\r\n")
        await finish.wait()
        await connection.send(b"3\r\n:2\n\r\n0\r\n\r\n")

    async with serve(script) as upstream, run_sidecar(tmp_path, upstream.port) as sidecar:
        await until_ready(sidecar)
        async with connect(sidecar.port) as client:
            await client.send(request(token))
            await client.head()
            assert await client.chunk() == b":1\n"
            sidecar.terminate()
            await sidecar.line("draining")
            async with asyncio.timeout(5):
                while await is_open(sidecar.port):
                    await asyncio.sleep(0.01)
            ready = await sidecar.health("/readyz")
            assert (ready.status_code, ready.text) == (503, "shutting down\n")
            finish.set()
            assert await client.chunk() == b":2\n"
            assert await client.chunk() == b""
            assert await client.until_closed() == b""
        assert await sidecar.exit_code() == 0


@pytest.mark.parametrize(("drain", "signals"), [("1", 1), ("60", 2)], ids=["deadline", "second signal"])
async def test_stream_that_does_not_end_is_cut(
    tmp_path: Path, fake_issuer: FakeIssuer, token: str, drain: str, signals: int
) -> None:
    (tmp_path / "policy.json").write_bytes(policy(fake_issuer))
    environment = {"POSTERN_DRAIN_SECONDS": drain}
    async with serve(streaming) as upstream, run_sidecar(tmp_path, upstream.port, environment=environment) as sidecar:
        await until_ready(sidecar)
        async with connect(sidecar.port) as client:
            await client.send(request(token))
            await client.head()
            assert await client.chunk() == b":1\n"
            sidecar.terminate()
            await sidecar.line("draining")
            if signals > 1:
                sidecar.terminate()
            assert await client.until_closed() == b""
        async with asyncio.timeout(5):
            await upstream.connections[0].gone.wait()
        assert await sidecar.exit_code() == 0


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.transport.abort()
    return True


async def test_wrong_use_is_one_line_and_exit_code_2() -> None:
    process = await spawn("--config", "/c", "--upstream", "nowhere")
    async with asyncio.timeout(20):
        output, errors = await process.communicate()
    assert process.returncode == 2
    assert b"--upstream is 'nowhere'" in errors
    assert (output, errors.count(b"\n")) == (b"", 1)


async def test_help_goes_to_stdout_and_exit_code_is_0() -> None:
    process = await spawn("--help")
    async with asyncio.timeout(20):
        output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert output.startswith(b"usage: postern-sidecar")
