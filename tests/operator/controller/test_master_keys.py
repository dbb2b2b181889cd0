"""The master keys: made once, kept for a minute, and followed when somebody adds or removes one."""

import asyncio
import base64
from typing import Any

import pytest

from postern_operator.cluster import Cluster
from postern_operator.controller.master_keys import MasterKeys
from postern_operator.errors import ClusterError
from tests.operator.controller.conftest import Clock
from tests.operator.controller.objects import MASTER_KEYS, SETTINGS
from tests.support.fake_apiserver import FakeApiServer

OLD, NEW = "20250101T000000Z", "20260101T000000Z"


def secret(*keys: str) -> dict[str, Any]:
    return {"data": {name: base64.b64encode(name.encode() * 2).decode() for name in keys}}


async def names_of(keys: MasterKeys) -> list[str]:
    return [key.name for key in await keys.current()]


async def test_first_master_key_is_made_of_32_random_bytes(server: FakeApiServer, keys: MasterKeys) -> None:
    assert await names_of(keys) == ["20260101T000000Z"]
    made = server.get(MASTER_KEYS)
    assert made is not None
    (value,) = made["data"].values()
    (key,) = await keys.current()
    assert base64.b64decode(value) == key.secret
    assert len(set(key.secret)) > 8


async def test_two_controllers_agree_on_the_first_master_key(server: FakeApiServer, api: Cluster, clock: Clock) -> None:
    both = [MasterKeys(api, SETTINGS.namespace, now=clock.now) for _ in range(2)]
    one, other = await asyncio.gather(*(keys.current() for keys in both))
    assert one == other


async def test_present_master_keys_are_read_by_name_and_left_as_they_are(
    server: FakeApiServer, keys: MasterKeys
) -> None:
    server.put(MASTER_KEYS, {"data": {OLD: base64.b64encode(b"o" * 32).decode()}})
    assert await names_of(keys) == [OLD]
    assert [(request.method, request.path) for request in server.requests] == [("GET", MASTER_KEYS)]


async def test_master_keys_are_read_once_a_minute_however_many_passes_need_them(
    server: FakeApiServer, keys: MasterKeys, clock: Clock
) -> None:
    await keys.current()
    server.requests.clear()
    for _ in range(59):
        clock.advance(1)
        await keys.current()
    assert server.requests == []
    clock.advance(1)
    await asyncio.gather(*(keys.current() for _ in range(8)))
    assert len(server.requests) == 1


async def test_clock_that_is_set_back_does_not_keep_old_keys(
    server: FakeApiServer, keys: MasterKeys, clock: Clock
) -> None:
    await keys.current()
    clock.advance(-3600)
    server.requests.clear()
    await keys.current()
    assert len(server.requests) == 1


async def test_deleted_master_keys_are_replaced_by_a_new_one(
    server: FakeApiServer, keys: MasterKeys, clock: Clock
) -> None:
    (before,) = await keys.current()
    server.delete(MASTER_KEYS)
    clock.advance(60)
    (after,) = await keys.current()
    assert before.secret != after.secret


async def test_refusal_is_raised_and_makes_no_key(server: FakeApiServer, keys: MasterKeys) -> None:
    server.fail("GET", "postern-master-keys", 403)
    with pytest.raises(ClusterError):
        await keys.current()
    assert server.get(MASTER_KEYS) is None
    assert await names_of(keys) == [NEW]


async def test_change_is_told_once(server: FakeApiServer, keys: MasterKeys, clock: Clock) -> None:
    await keys.current()
    told = []
    following = asyncio.create_task(keys.follow(lambda: told.append(clock.now()), period_s=0.01))
    try:
        good = base64.b64encode(b"o" * 32).decode()
        server.put(MASTER_KEYS, {"data": {OLD: good, NEW: good}})
        async with asyncio.timeout(5):
            while not told:
                clock.advance(60)
                await asyncio.sleep(0.01)
            reads = len(server.requests)
            while len(server.requests) < reads + 3:
                clock.advance(60)
                await asyncio.sleep(0.01)
    finally:
        following.cancel()
    assert len(told) == 1
    assert await names_of(keys) == [OLD, NEW]


async def test_outage_does_not_end_the_following(server: FakeApiServer, keys: MasterKeys, clock: Clock) -> None:
    await keys.current()
    told = []
    server.fail("GET", "postern-master-keys", 503, times=4)
    server.put(MASTER_KEYS, {"data": {OLD: base64.b64encode(b"o" * 32).decode()}})
    following = asyncio.create_task(keys.follow(lambda: told.append(clock.now()), period_s=0.01))
    try:
        async with asyncio.timeout(5):
            while not told:
                clock.advance(60)
                await asyncio.sleep(0.01)
    finally:
        following.cancel()
    assert await names_of(keys) == [OLD]


async def test_nothing_is_read_before_a_policy_needs_a_key(server: FakeApiServer, keys: MasterKeys) -> None:
    following = asyncio.create_task(keys.follow(lambda: None, period_s=0))
    try:
        for _ in range(100):
            await asyncio.sleep(0)  # lets it go round
    finally:
        following.cancel()
    assert server.requests == []
