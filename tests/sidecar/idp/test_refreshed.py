import asyncio

import pytest

from postern_sidecar.errors import IdpError, IdpUnreachable
from postern_sidecar.idp.refreshed import FAILURE_COOL_DOWN_S, STALE_S, Clock, Loaded, Refreshed
from tests.support.clock import ManualTime


class Source:
    """What is loaded: a number that counts the loads, or an error; held back while closed."""

    def __init__(self) -> None:
        self.loads = 0
        self.error: Exception | None = None
        self.max_age_s: int | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def load(self) -> Loaded[int]:
        self.loads += 1
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return Loaded(self.loads, self.max_age_s)


def make() -> tuple[Refreshed[int], Source, ManualTime]:
    source, time = Source(), ManualTime()
    return Refreshed(source.load, Clock(time, lambda: 1_800_000_000.0)), source, time


async def test_value_is_loaded_once_and_kept() -> None:
    cached, source, _ = make()
    assert [await cached.get(), await cached.get()] == [1, 1]
    assert (source.loads, cached.last_success) == (1, 1_800_000_000.0)


async def test_many_who_wait_share_one_load() -> None:
    cached, source, _ = make()
    source.open.clear()
    waiting = [asyncio.ensure_future(cached.get()) for _ in range(50)]
    await asyncio.sleep(0)
    source.open.set()
    assert await asyncio.gather(*waiting) == [1] * 50
    assert source.loads == 1


async def test_waiter_who_leaves_does_not_take_the_load_along() -> None:
    cached, source, _ = make()
    source.open.clear()
    leaving, staying = asyncio.ensure_future(cached.get()), asyncio.ensure_future(cached.get())
    await asyncio.sleep(0)
    leaving.cancel()
    source.open.set()
    assert await staying == 1
    assert source.loads == 1


async def test_failure_without_a_value_is_not_repeated_within_the_cool_down() -> None:
    cached, source, time = make()
    source.error = IdpUnreachable("down")
    for _ in range(10):
        with pytest.raises(IdpUnreachable, match="down"):
            await cached.get()
    assert source.loads == 1
    time.pass_s(FAILURE_COOL_DOWN_S)
    source.error = None
    assert await cached.get() == 2


async def test_error_that_is_kept_holds_no_frames() -> None:
    cached, source, _ = make()
    source.error = IdpUnreachable("down")
    depths = set()
    for _ in range(5):
        with pytest.raises(IdpUnreachable) as caught:
            await cached.get()
        depths.add(len(caught.traceback))
    assert len(depths) == 1
    assert cached.error is not source.error


async def test_stale_value_serves_while_refreshes_fail_but_not_beyond_a_day() -> None:
    cached, source, time = make()
    await cached.get()
    source.error = IdpUnreachable("down")
    time.pass_s(STALE_S)
    await cached.refresh()
    assert await cached.get() == 1
    assert str(cached.error) == "down"
    time.pass_s(1)
    with pytest.raises(IdpUnreachable):
        await cached.get()


@pytest.mark.parametrize(
    ("max_age_s", "due_s"), [(None, 300.0), (0, 60.0), (59, 60.0), (120, 120.0), (3600, 3600.0), (999999, 3600.0)]
)
async def test_refresh_is_due_when_the_source_says_so_within_bounds(max_age_s: int | None, due_s: float) -> None:
    cached, source, time = make()
    assert cached.due_in_s() == 0.0
    source.max_age_s = max_age_s
    await cached.refresh()
    assert cached.due_in_s() == due_s
    time.pass_s(due_s + 1)
    assert cached.due_in_s() == 0.0


async def test_failed_refreshes_are_repeated_ever_more_slowly_up_to_a_minute() -> None:
    cached, source, time = make()
    source.error = IdpUnreachable("down")
    delays = []
    for _ in range(7):
        await cached.refresh()
        delays.append(cached.due_in_s())
        time.pass_s(delays[-1])
    assert delays == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]


async def test_unexpected_fault_is_an_error_of_the_document_not_the_end_of_refreshing() -> None:
    cached, source, time = make()
    source.error = RuntimeError("bug")
    with pytest.raises(IdpError, match="unexpected RuntimeError"):
        await cached.get()
    source.error = None
    time.pass_s(FAILURE_COOL_DOWN_S)
    assert await cached.get() == 2


async def test_closing_stops_a_load_under_way() -> None:
    cached, source, _ = make()
    source.open.clear()
    waiting = asyncio.ensure_future(cached.get())
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        await cached.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
