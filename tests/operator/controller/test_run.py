import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import kopf
import pytest

from postern_operator.controller.handlers import operator_settings
from postern_operator.controller.run import run
from postern_operator.controller.watching import WatchEnded, keep_watching
from tests.operator.controller.objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    POLICY,
    SETTINGS,
    deployment,
    guarded_pod,
    policy,
    report,
)
from tests.operator.controller.sidecar import FakeSidecar
from tests.support.fake_apiserver import FakeApiServer

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/postern"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def controller(environment: dict[str, str], sidecar: FakeSidecar, port: int = 0) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = replace(SETTINGS, health_port=port)
    async with asyncio.timeout(45), asyncio.TaskGroup() as tasks:
        tasks.create_task(run(settings, environment, stop=stop, sidecar_port=sidecar.port))
        try:
            yield
        finally:
            stop.set()


async def test_controller_follows_policies_and_pods_and_stops_when_asked(
    server: FakeApiServer, environment: dict[str, str], sidecar: FakeSidecar
) -> None:
    server.put(WEBHOOKS, {"webhooks": [{"name": "pods.postern.dev", "clientConfig": {}}]})
    server.put(DEPLOYMENT, deployment())
    port = free_port()
    async with controller(environment, sidecar, port):
        await until(lambda: server.watchers == 2)
        server.put(POLICY, policy())
        await until(lambda: "status" in (server.get(POLICY) or {}))
        stamped = server.get(DEPLOYMENT)
        assert stamped is not None
        assert stamped["spec"]["template"]["metadata"]["labels"]["postern.dev/inject"] == "true"

        made = server.get(CONFIG_MAP)
        assert made is not None
        sidecar.answer = report(json.loads(made["data"]["policy.json"])["hash"])
        shape = stamped["spec"]["template"]["metadata"]["annotations"]["postern.dev/shape"]
        server.put(DEPLOYMENT, stamped | {"status": {"replicas": 1, "updatedReplicas": 1, "observedGeneration": 2}})
        server.put(POD, guarded_pod(shape=shape))
        await until(lambda: (server.get(POLICY) or {})["status"].get("readyTargets") == "1/1")

        await until(lambda: "caBundle" in (server.get(WEBHOOKS) or {})["webhooks"][0]["clientConfig"])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            assert (await http.get("/livez")).status_code == 200
            assert (await http.get("/readyz")).status_code == 200
            exposed = (await http.get("/metrics")).text
        assert 'postern_operator_reconciles_total{result="settled"}' in exposed
        assert 'postern_operator_certificate_not_after_seconds{kind="leaf"}' in exposed
    finalizers = (server.get(POLICY) or {})["metadata"].get("finalizers")
    assert finalizers is None


async def test_single_401_does_not_end_the_watches(
    server: FakeApiServer, environment: dict[str, str], sidecar: FakeSidecar
) -> None:
    async with controller(environment, sidecar):
        await until(lambda: server.watchers == 2)
        server.fail("GET", "watch=", 401, times=2)
        server.compacted = 10**6  # ends the watches: kopf lists and watches anew, into the refusals
        await until(lambda: server.watchers == 0)
        server.compacted = 0
        await until(lambda: server.watchers == 2)
        server.put(POLICY, policy())
        await until(lambda: server.get(CONFIG_MAP) is not None)


async def test_absent_crd_and_outage_at_start_are_waited_for(
    server: FakeApiServer, environment: dict[str, str], sidecar: FakeSidecar
) -> None:
    server.fail("GET", "mcpauthpolicies", 404)
    server.fail("GET", "mcpauthpolicies", 503)
    server.put(POLICY, policy())
    async with controller(environment, sidecar):
        await until(lambda: "status" in (server.get(POLICY) or {}))
        await until(lambda: server.watchers == 2)


async def test_kopf_that_ends_by_itself_again_and_again_is_a_failure() -> None:
    broken = kopf.OperatorRegistry()
    del broken._indexing
    async with asyncio.timeout(40):
        with pytest.raises(WatchEnded, match="ended by itself"):
            await keep_watching(broken, operator_settings(), stop=asyncio.Event())


async def test_sigterm_ends_the_process_with_zero(server: FakeApiServer, environment: dict[str, str]) -> None:
    code = "import sys; from postern_operator.cli import main; sys.exit(main(['controller']))"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        env={**os.environ, **environment, "POSTERN_SIDECAR_IMAGE": "i", "POSTERN_HEALTH_PORT": str(free_port())},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await until(lambda: server.watchers == 2)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["event"] for line in lines][-1] == "controller ends"
    assert {line["level"] for line in lines} <= {"info", "warning"}
