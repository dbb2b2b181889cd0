"""The policy in force: swapped whole, kept when the next one is bad."""

import asyncio
from pathlib import Path

import pytest

from postern_crds.sidecar_config import encode
from postern_sidecar.policy.live import Live
from postern_sidecar.policy.load import ConfigFault, Loaded, judge, read
from postern_sidecar.policy.watch import watch
from tests.sidecar.policy.volume import Volume
from tests.support.policies import make_config


class Recorded:
    """An enforcement that tells what happens to it."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        self.running = asyncio.Event()
        self.stopped = asyncio.Event()
        self.closed = asyncio.Event()

    async def run(self) -> None:
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()

    async def aclose(self) -> None:
        self.closed.set()


def policy(name: str) -> bytes:
    return encode(make_config(policy={"name": name})).encode()


def loaded(name: str) -> Loaded:
    return Loaded(make_config(policy={"name": name}))


FAULT = ConfigFault("policy.json", "is torn", "render it again")


async def test_new_policy_ends_the_work_of_the_former_and_closes_it() -> None:
    live: Live[Recorded] = Live(Recorded, on_change=lambda _: None)
    live.apply(loaded("one"))
    runner = asyncio.create_task(live.run())
    async with asyncio.timeout(3):
        first = live.current
        assert first is not None
        await first.running.wait()
        live.apply(loaded("two"))
        second = live.current
        assert second is not None
        assert second is not first
        await second.running.wait()
        await first.stopped.wait()
        await first.closed.wait()
        assert not second.stopped.is_set()
    runner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await runner
    assert second.stopped.is_set()


async def test_policies_that_follow_each_other_at_once_are_all_closed_but_the_last() -> None:
    built: list[Recorded] = []

    def build(outcome: Loaded) -> Recorded:
        built.append(Recorded(outcome))
        return built[-1]

    live: Live[Recorded] = Live(build, on_change=lambda _: None)
    for name in ("one", "two", "three"):
        live.apply(loaded(name))
    runner = asyncio.create_task(live.run())
    async with asyncio.timeout(3):
        await built[2].running.wait()
        await built[0].closed.wait()
        await built[1].closed.wait()
    runner.cancel()
    assert not built[0].running.is_set()
    assert not built[2].closed.is_set()
    await live.aclose()
    assert built[2].closed.is_set()


async def test_bad_policy_leaves_the_last_good_one_in_force_and_is_reported() -> None:
    changes: list[Loaded | ConfigFault] = []
    live: Live[Recorded] = Live(Recorded, on_change=changes.append)
    live.apply(loaded("one"))
    first = live.current
    live.apply(FAULT)
    assert live.current is first
    assert live.fault is FAULT
    live.apply(loaded("two"))
    assert live.current is not first
    assert live.fault is None
    assert changes == [loaded("one"), FAULT, loaded("two")]


async def test_policy_that_cannot_be_built_counts_as_bad() -> None:
    def refuse(_: Loaded) -> Recorded:
        raise RuntimeError("no such key type")

    live: Live[Recorded] = Live(refuse, on_change=lambda _: None)
    live.apply(loaded("one"))
    assert live.current is None
    assert "no such key type" in str(live.fault)


async def test_failing_background_work_ends_neither_the_process_nor_the_next_policy() -> None:
    class Failing(Recorded):
        async def run(self) -> None:
            self.running.set()
            raise RuntimeError("a bug")

    live: Live[Recorded] = Live(Failing, on_change=lambda _: None)
    live.apply(loaded("one"))
    runner = asyncio.create_task(live.run())
    async with asyncio.timeout(3):
        for name in ("two", "three"):
            live.apply(loaded(name))
            assert live.current is not None
            await live.current.running.wait()
    assert not runner.done()
    runner.cancel()


async def test_swap_of_the_volume_is_noticed_and_bad_contents_heal(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    volume.swap({"policy.json": b"{"})
    seen: asyncio.Queue[str] = asyncio.Queue()

    def note(outcome: Loaded | ConfigFault) -> None:
        seen.put_nowait("fault" if isinstance(outcome, ConfigFault) else outcome.config.policy.name)

    files = read(tmp_path)
    note(judge(tmp_path, files))
    watcher = asyncio.create_task(watch(tmp_path, files, note, interval_s=0.005))
    async with asyncio.timeout(3):
        assert await seen.get() == "fault"
        for content, expected in ((policy("one"), "one"), (b"", "fault"), (policy("two"), "two")):
            volume.swap({"policy.json": content})
            assert await seen.get() == expected
        volume.swap({"policy.json": policy("two")})
        volume.swap({"policy.json": policy("three")})
        assert await seen.get() == "three"
    watcher.cancel()
