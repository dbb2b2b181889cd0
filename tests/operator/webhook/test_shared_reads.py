import asyncio
from itertools import count
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_operator.errors import ClusterUnavailable
from postern_operator.webhook.shared_reads import SharedReads


class Source:
    """Reads that end when the test says so; each gives its number, 0 for the first."""

    def __init__(self) -> None:
        self.running: list[tuple[str, asyncio.Future[int]]] = []
        self.begun = 0

    async def read(self, key: str) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        number, self.begun = self.begun, self.begun + 1
        self.running.append((key, answer))
        try:
            await answer
        finally:
            self.running.remove((key, answer))
        return number

    def end(self, key: str = "a", error: Exception | None = None) -> None:
        answer = next(answer for its_key, answer in self.running if its_key == key)
        if error is None:
            answer.set_result(0)
        else:
            answer.set_exception(error)

    async def until_begun(self, number: int) -> None:
        async with asyncio.timeout(5):
            while self.begun < number:
                await asyncio.sleep(0)


async def settle() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def asking(reads: SharedReads[str, int], key: str = "a", times: int = 1) -> list[asyncio.Task[int]]:
    return [asyncio.ensure_future(reads.get(key)) for _ in range(times)]


async def test_all_who_ask_at_once_share_one_read() -> None:
    source = Source()
    tasks = asking(SharedReads(source.read), times=20)
    await settle()
    source.end()
    assert await asyncio.gather(*tasks) == [0] * 20
    assert source.begun == 1


async def test_who_asks_while_a_read_runs_gets_the_next_one_shared_with_all_others_who_do() -> None:
    source = Source()
    reads = SharedReads(source.read)
    (early,) = asking(reads)
    await source.until_begun(1)
    late = asking(reads, times=3)
    await settle()
    late += asking(reads, times=3)
    await settle()
    assert source.begun == 1, "never two reads of a key at the same time"
    source.end()
    assert await early == 0
    await source.until_begun(2)
    source.end()
    assert await asyncio.gather(*late) == [1] * 6


async def test_who_asks_between_two_reads_gets_no_answer_from_before_it_asked() -> None:
    source = Source()
    reads = SharedReads(source.read)
    (first,) = asking(reads)
    await source.until_begun(1)
    source.end()
    (second,) = asking(reads)
    assert await first == 0
    await source.until_begun(2)
    source.end()
    assert await second == 1


async def test_failed_read_fails_all_who_shared_it_and_the_next_one_tries_anew() -> None:
    source = Source()
    reads = SharedReads(source.read)
    shared = asking(reads, times=3)
    await source.until_begun(1)
    (late,) = asking(reads)
    await settle()
    source.end(error=ClusterUnavailable("down"))
    for task in shared:
        with pytest.raises(ClusterUnavailable, match="down"):
            await task
    await source.until_begun(2)
    source.end()
    assert await late == 1


async def test_defect_of_a_read_is_told_to_all_who_shared_it() -> None:
    source = Source()
    tasks = asking(SharedReads(source.read), times=2)
    await source.until_begun(1)
    source.end(error=RuntimeError("a defect"))
    for task in tasks:
        with pytest.raises(RuntimeError, match="a defect"):
            await task


@pytest.mark.parametrize("gone", [0, 1, 2])
async def test_cancelled_caller_leaves_the_others_their_answer(gone: int) -> None:
    source = Source()
    tasks = asking(SharedReads(source.read), times=3)
    await source.until_begun(1)
    tasks.pop(gone).cancel()
    await settle()
    source.end()
    numbers = await asyncio.gather(*tasks)
    assert len(set(numbers)) == 1
    assert source.begun == (2 if gone == 0 else 1), "the first one read for all; another reads anew in its place"


async def test_caller_cancelled_while_it_gathers_leaves_the_others_their_answer() -> None:
    source = Source()
    reads = SharedReads(source.read)
    (early,) = asking(reads)
    await source.until_begun(1)
    leader, follower = asking(reads, times=2)
    await settle()
    leader.cancel()
    await settle()
    source.end()
    await source.until_begun(2)
    source.end()
    assert (await early, await follower) == (0, 1)


async def test_read_taken_over_from_a_cancelled_caller_does_not_part_those_who_gather() -> None:
    source = Source()
    reads = SharedReads(source.read)
    first, heir = asking(reads, times=2)
    await source.until_begun(1)
    (second,) = asking(reads)
    await settle()
    first.cancel()
    await source.until_begun(2)
    third = asking(reads)
    await settle()
    source.end()
    await source.until_begun(3)
    third += asking(reads)
    await settle()
    source.end()
    await source.until_begun(4)
    source.end()
    assert await asyncio.gather(second, heir, *third) == [1, 2, 3, 3]


async def test_read_of_one_key_does_not_wait_for_another() -> None:
    source = Source()
    reads = SharedReads(source.read)
    (silent,) = asking(reads, "a")
    await source.until_begun(1)
    (other,) = asking(reads, "b")
    await source.until_begun(2)
    source.end("b")
    assert await other == 1
    assert not silent.done()
    source.end("a")
    await silent


async def test_nothing_is_kept_when_nobody_waits() -> None:
    source = Source()
    reads = SharedReads(source.read)
    (answered, failed, cancelled) = (asking(reads, key)[0] for key in "abc")
    await source.until_begun(3)
    source.end("a")
    source.end("b", ClusterUnavailable("down"))
    cancelled.cancel()
    await asyncio.gather(answered, failed, cancelled, return_exceptions=True)
    assert not reads._lines


Step = Literal["ask", "answer", "fail", "cancel"]
_STEPS = st.lists(st.tuples(st.sampled_from(get_args(Step)), st.integers(0, 4)), min_size=2, max_size=40)
"""Each with the number of rounds that the loop makes after it."""


@given(steps=_STEPS)
def test_whatever_happens_each_answer_was_read_after_its_caller_asked(steps: list[tuple[Step, int]]) -> None:
    asyncio.run(_play(steps))


class Timed:
    """Reads that give when they began, by the count that callers take their own time from."""

    def __init__(self) -> None:
        self.clock = count()
        self.begun = 0
        self.running: list[asyncio.Future[None]] = []

    async def read(self, _: str) -> int:
        assert not self.running, "never two reads of a key at the same time"
        self.begun += 1
        now, answer = next(self.clock), asyncio.get_running_loop().create_future()
        self.running.append(answer)
        try:
            await answer
        finally:
            self.running.remove(answer)
        return now

    def end(self, error: Exception | None = None) -> None:
        for answer in self.running:
            if not answer.done():
                answer.set_exception(error) if error else answer.set_result(None)


async def _play(steps: list[tuple[Step, int]]) -> None:
    source = Timed()
    reads = SharedReads(source.read)
    callers: list[tuple[int, asyncio.Task[int]]] = []
    for step, rounds in steps:
        match step:
            case "ask":
                callers.append((next(source.clock), asyncio.ensure_future(reads.get("a"))))
            case "cancel":
                for _, task in callers[-1:]:
                    task.cancel()
            case _:
                source.end(ClusterUnavailable("down") if step == "fail" else None)
        for _ in range(rounds):
            await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while not all(task.done() for _, task in callers):
            source.end()
            await asyncio.sleep(0)
    for asked, task in callers:
        if not task.cancelled():
            assert isinstance(task.exception(), ClusterUnavailable) or task.result() > asked
    assert source.begun <= len(callers)
    assert not reads._lines
