import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from postern_operator.controller.schedule import Outcome, Schedule
from postern_operator.controller.work_queue import Queue


@asynccontextmanager
async def running(queue: Queue[str], workers: int = 4) -> AsyncIterator[None]:
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(queue.run(workers))
        yield
        task.cancel()


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until the condition holds; bounded by the timeout around."""
    while not condition():
        await asyncio.sleep(0)


async def test_every_key_is_processed_many_at_a_time() -> None:
    gate = asyncio.Event()
    begun: set[str] = set()

    async def process(key: str) -> Outcome:
        begun.add(key)
        await gate.wait()
        return Outcome.SETTLED

    queue = Queue(process)
    async with running(queue):
        for key in "abcdef":
            queue.add(key)
        await until(lambda: len(begun) == 4)
        assert queue.depth() == 2
        gate.set()
        await until(lambda: len(begun) == 6)


async def test_one_key_is_never_processed_twice_at_a_time() -> None:
    passes: Counter[str] = Counter()
    gate = asyncio.Event()

    async def process(key: str) -> Outcome:
        passes[key] += 1
        await gate.wait()
        return Outcome.SETTLED

    queue = Queue(process)
    async with running(queue):
        queue.add("a")
        await until(lambda: passes["a"] == 1)
        for _ in range(10):
            queue.add("a")
            await asyncio.sleep(0)
        assert passes["a"] == 1
        gate.set()
        await until(lambda: passes["a"] == 2)
    assert passes["a"] == 2


async def test_failing_key_waits_for_its_time_on_the_clock() -> None:
    clock = Clock()
    times: list[float] = []

    async def process(_: str) -> Outcome:
        times.append(clock.now)
        return Outcome.UNAVAILABLE if len(times) == 1 else Outcome.SETTLED

    schedule: Schedule[str] = Schedule(random=lambda: 0.5)
    queue = Queue(process, schedule=schedule, clock=clock)
    async with running(queue):
        queue.add("a")
        await until(lambda: len(times) == 1)
        queue.add("b")
        await until(lambda: len(times) == 2)
        clock.now = 1.0
        queue.add("c")  # wakes the workers, as the passing of real time would
        await until(lambda: len(times) == 4)
    assert times == [0.0, 0.0, 1.0, 1.0]


async def test_delayed_key_is_processed_without_any_further_event() -> None:
    passes: list[str] = []

    async def process(key: str) -> Outcome:
        passes.append(key)
        return Outcome.CONFLICT if len(passes) == 1 else Outcome.SETTLED

    queue = Queue(process)
    async with running(queue):
        queue.add("a")
        await until(lambda: len(passes) == 2)
