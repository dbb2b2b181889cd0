import asyncio

import pytest

from postern_operator.errors import ClusterUnavailable
from postern_operator.webhook.namespaces import Namespaces


class Source:
    def __init__(self) -> None:
        self.reads: list[str] = []
        self.now = 0.0
        self.answer: dict[str, str] | None = {"a": "b"}

    async def read(self, name: str) -> dict[str, str] | None:
        self.reads.append(name)
        if name == "down":
            raise ClusterUnavailable("down")
        return self.answer


async def test_namespace_is_remembered_for_ten_seconds() -> None:
    source = Source()
    namespaces = Namespaces(source.read, lambda: source.now)
    for source.now in (0.0, 9.9, 10.0, 19.9):
        assert await namespaces.get("team-a") == {"a": "b"}
    assert len(source.reads) == 2


async def test_absent_namespace_is_not_remembered() -> None:
    source = Source()
    source.answer = None
    namespaces = Namespaces(source.read, lambda: source.now)
    assert await namespaces.get("team-a") is None
    assert await namespaces.get("team-a") is None
    assert len(source.reads) == 2


async def test_memory_is_bounded() -> None:
    source = Source()
    namespaces = Namespaces(source.read, lambda: source.now)
    for number in range(3000):
        await namespaces.get(f"n{number}")
    assert len(namespaces._entries) == 1024


async def test_outage_is_raised() -> None:
    source = Source()
    with pytest.raises(ClusterUnavailable):
        await Namespaces(source.read, lambda: source.now).get("down")


async def test_burst_asks_once() -> None:
    source = Source()
    namespaces = Namespaces(source.read, lambda: source.now)
    assert await asyncio.gather(*(namespaces.get("team-a") for _ in range(20))) == [{"a": "b"}] * 20
    assert source.reads == ["team-a"]
