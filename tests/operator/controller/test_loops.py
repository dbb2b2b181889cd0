import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from postern_operator.cluster import Cluster
from postern_operator.controller.loops import Loops
from postern_operator.controller.reconcile import Reconciler
from postern_operator.controller.triggers import policy_change
from postern_operator.metrics import Metrics, metrics
from tests.operator.controller.objects import CONFIG_MAP, POLICY, policy
from tests.support.fake_apiserver import FakeApiServer


@pytest.fixture
def figures() -> Metrics:
    return metrics()


@pytest.fixture
def loops(api: Cluster, reconciler: Reconciler, figures: Metrics) -> Loops:
    return Loops(api, reconciler, figures, resync_s=300)


@asynccontextmanager
async def running(*parts: Callable[[], Coroutine[None, None, None]]) -> AsyncIterator[None]:
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(part()) for part in parts]
        yield
        for task in background:
            task.cancel()


def passes(registry: CollectorRegistry, result: str) -> float:
    return registry.get_sample_value("postern_operator_reconciles_total", {"result": result}) or 0.0


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_sweep_brings_every_policy_to_rest(server: FakeApiServer, loops: Loops, figures: Metrics) -> None:
    for number in range(30):
        server.put(f"{POLICY}-{number}", policy())
    async with running(loops.work, loops.sweep):
        await until(lambda: passes(figures.registry, "settled") == 30)
    assert all(server.get(f"{CONFIG_MAP}-{number}") for number in range(30))
    assert loops.not_ready() == ""


async def test_sweep_over_settled_policies_reads_lists_and_nothing_else(
    server: FakeApiServer, loops: Loops, figures: Metrics, reconciler: Reconciler, api: Cluster
) -> None:
    for number in range(30):
        server.put(f"{POLICY}-{number}", policy())
    async with running(loops.work, loops.sweep):
        await until(lambda: passes(figures.registry, "settled") == 30)
    server.requests.clear()
    again, figures = metrics(), metrics()
    restarted = Loops(api, reconciler, again, resync_s=300)
    async with running(restarted.work, restarted.sweep):
        await until(lambda: passes(again.registry, "settled") == 30)
    assert [request.path.rsplit("/", 1)[-1] for request in server.requests] == [
        "mcpauthpolicies",
        "configmaps",
        "deployments",
        "statefulsets",
        "daemonsets",
        "pods",
    ]


async def test_policy_that_changes_while_the_lists_are_read_is_read_live(
    server: FakeApiServer, loops: Loops, figures: Metrics
) -> None:
    server.put(POLICY, policy())
    server.put(f"{POLICY}-2", policy())
    gate = server.hold("GET", "/pods")
    async with running(loops.sweep):
        await until(lambda: server.requests[-1:] != [] and server.requests[-1].path.endswith("/pods"))
        loops.report(policy_change(server.put(POLICY, policy(scopes={"required": ["read"]}))), False)
        gate.set()
        await loops.first_sweep.wait()
        async with running(loops.work):
            await until(lambda: passes(figures.registry, "settled") == 2)
    made = server.get(CONFIG_MAP)
    assert made is not None
    assert '"read"' in made["data"]["policy.json"]
    assert passes(figures.registry, "conflict") == 0


async def test_sweep_that_cannot_read_is_tried_again_and_told_as_not_ready(server: FakeApiServer, loops: Loops) -> None:
    server.fail("GET", "mcpauthpolicies", 503)
    assert "not read yet" in loops.not_ready()
    async with running(loops.sweep):
        await loops.first_sweep.wait()
    assert loops.not_ready() == ""


@pytest.mark.parametrize(
    ("status", "result"),
    [
        pytest.param(409, "conflict", id="conflict"),
        pytest.param(403, "refused", id="forbidden"),
        pytest.param(500, "unavailable", id="outage"),
    ],
)
async def test_failed_pass_is_counted_by_its_kind_and_tried_again(
    server: FakeApiServer, loops: Loops, figures: Metrics, status: int, result: str
) -> None:
    stored = server.put(POLICY, policy())
    server.fail("PATCH", "/status", status)
    async with running(loops.work):
        loops.report(policy_change(stored), False)
        await until(lambda: passes(figures.registry, "settled") == 1)
    assert passes(figures.registry, result) == 1


async def test_defect_that_one_policy_brings_to_light_does_not_stop_the_others(
    server: FakeApiServer, loops: Loops, figures: Metrics
) -> None:
    broken = server.put(POLICY, policy())
    del broken["metadata"]["uid"]
    fine = server.put(f"{POLICY}-2", policy())
    async with running(loops.work):
        loops.report(("u", ("team-a", "weather"), 1), False)
        await until(lambda: passes(figures.registry, "failed") == 1)
        loops.report(policy_change(fine), False)
        await until(lambda: passes(figures.registry, "settled") == 1)


async def test_sweep_that_was_asked_for_begins_at_once(server: FakeApiServer, loops: Loops, figures: Metrics) -> None:
    server.put(POLICY, policy())
    async with running(loops.work, loops.sweep):
        await until(lambda: passes(figures.registry, "settled") == 1)
        loops.sweep_soon()
        await until(lambda: passes(figures.registry, "settled") == 2)
