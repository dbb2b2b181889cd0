import asyncio

import pytest

from postern_operator.controller.sidecars import Sidecars, address
from tests.operator.controller.objects import guarded_pod
from tests.operator.controller.sidecar import fake_sidecar


def pod(uid: str = "u1", ip: str = "127.0.0.1") -> dict[str, object]:
    made = guarded_pod(ip=ip)
    return made | {"metadata": made["metadata"] | {"uid": uid}}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_report_is_read_over_both_address_families(host: str) -> None:
    async with fake_sidecar(host) as sidecar:
        sidecar.answer = {"configHash": "abc"}
        assert await Sidecars(sidecar.port).reports([pod(ip=host)]) == {"u1": {"configHash": "abc"}}


async def test_chunked_answer_is_read() -> None:
    async with fake_sidecar() as sidecar:
        sidecar.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        assert await Sidecars(sidecar.port).reports([pod()]) == {"u1": {}}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="closed at once"),
        pytest.param(b"nonsense\r\n\r\n", id="not HTTP"),
        pytest.param(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}", id="error"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: http://a/\r\nContent-Length: 2\r\n\r\n{}", id="redirect"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", id="torn"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{", id="not JSON"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", id="not an object"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b" " * 99999, id="endless"),
    ],
)
async def test_useless_answer_is_none(answer: bytes) -> None:
    async with fake_sidecar() as sidecar:
        sidecar.answer = answer
        assert await Sidecars(sidecar.port).reports([pod()]) == {"u1": None}


async def test_silent_sidecar_is_none_after_the_bound() -> None:
    async with fake_sidecar() as sidecar:
        assert await Sidecars(sidecar.port, timeout_s=0.05).reports([pod()]) == {"u1": None}


async def test_many_silent_sidecars_are_given_up_together() -> None:
    async with fake_sidecar() as sidecar, asyncio.timeout(5):
        silent = [pod(f"u{n}") for n in range(100)]
        found = await Sidecars(sidecar.port, timeout_s=4, budget_s=0.1).reports(silent)
    assert list(found.values()) == [None] * 100


async def test_unreachable_sidecar_is_none() -> None:
    assert await Sidecars(1).reports([pod()]) == {"u1": None}


async def test_at_most_sixteen_are_asked_at_once() -> None:
    async with fake_sidecar() as sidecar:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(Sidecars(sidecar.port).reports([pod(f"u{n}") for n in range(40)]))
            while sidecar.asked < 16:
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            assert sidecar.asked == 16
            sidecar.answer = {}
            sidecar.gate.set()
        assert len(asking.result()) == 40


@pytest.mark.parametrize(
    "status",
    [
        pytest.param({}, id="not scheduled"),
        pytest.param({"phase": "Pending", "podIP": "10.0.0.1"}, id="starting"),
        pytest.param({"phase": "Succeeded", "podIP": "10.0.0.1"}, id="ended"),
        pytest.param({"phase": "Running"}, id="without address"),
    ],
)
def test_pod_that_is_not_running_has_no_address(status: dict[str, str]) -> None:
    assert address({"metadata": {"uid": "u"}, "status": status}) is None


def test_terminating_pod_has_no_address() -> None:
    metadata = {"uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert address({"metadata": metadata, "status": {"phase": "Running", "podIP": "10.0.0.1"}}) is None
