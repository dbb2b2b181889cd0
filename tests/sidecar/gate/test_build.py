"""What survives a reload, and what runs in the background."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from postern_sidecar.gate.issuer import Issuer
from postern_sidecar.idp.refreshed import Clock
from postern_sidecar.metrics import create_metrics
from tests.sidecar.gate.conftest import MakeDoor
from tests.sidecar.gate.door import Door, config_for
from tests.support.clock import ManualTime
from tests.support.fake_issuer import JWKS_PATH, METADATA_PATH, Behaviour, FakeIssuer
from tests.support.tokens import SigningPair


async def test_reload_keeps_keys_and_metadata_but_no_verified_token(door: Door, rsa_pair: SigningPair) -> None:
    await door.forward("POST", "/mcp", door.bearer())
    config = config_for(door.fake, verification={"required_scopes": ("new",)})
    reloaded = Door(door.fake, rsa_pair, config, door.gate)
    assert reloaded.gate.unready_reason() is None
    assert reloaded.gate.snapshot().verified_tokens == 0
    assert (await reloaded.answer("POST", "/mcp", door.bearer())).status == 403
    assert door.fake.requests == [METADATA_PATH, JWKS_PATH]
    await reloaded.gate.aclose()


async def test_previous_gate_can_be_closed_after_a_reload(door: Door, rsa_pair: SigningPair) -> None:
    await door.forward("POST", "/mcp", door.bearer())
    reloaded = Door(door.fake, rsa_pair, config_for(door.fake), door.gate)
    await door.gate.aclose()
    await reloaded.gate.upstream.issuer.jwks.ring.refresh()
    assert reloaded.gate.snapshot().reachable
    await reloaded.gate.aclose()


@pytest.mark.parametrize(
    "changes",
    [{"issuer": "http://127.0.0.1:9/other"}, {"metadata_urls": ()}, {"private_ca": True}, {"jwks_uri": "https://x/y"}],
)
async def test_reload_with_another_source_forgets_the_keys(
    door: Door, rsa_pair: SigningPair, changes: dict[str, Any]
) -> None:
    await door.forward("POST", "/mcp", door.bearer())
    reloaded = Door(door.fake, rsa_pair, config_for(door.fake, issuer=changes), door.gate)
    assert reloaded.gate.unready_reason()
    assert reloaded.gate.snapshot().jwks_keys == 0
    await reloaded.gate.aclose()


class Pace:
    """Stands in for sleep: time passes at once, something happens meanwhile, and at last the loop is cancelled."""

    def __init__(self, time: ManualTime, *events: Callable[[], None]) -> None:
        self.time = time
        self.events = list(events)
        self.delays: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.time.pass_s(seconds)
        if not self.events:
            raise asyncio.CancelledError
        self.events.pop(0)()


async def test_background_refresh_runs_ahead_of_time_and_survives_an_outage(fake_issuer: FakeIssuer) -> None:
    time = ManualTime()
    issuer = Issuer(config_for(fake_issuer).issuer, None, create_metrics(), Clock(time, time))

    def go_down() -> None:
        fake_issuer.behaviours = dict.fromkeys((METADATA_PATH, JWKS_PATH), Behaviour.ERROR)

    def come_back() -> None:
        fake_issuer.behaviours = {}

    pace = Pace(time, go_down, lambda: None, come_back, lambda: None)
    with pytest.raises(asyncio.CancelledError):
        await issuer.run(pace)
    await issuer.aclose()
    assert pace.delays == [300, 5, 10, 300, 300]
    assert issuer.health(0).reachable


async def test_readiness_waits_for_the_metadata_when_the_keys_are_elsewhere(make_door: MakeDoor) -> None:
    fake = make_door().fake
    door = make_door(issuer={"jwks_uri": fake.jwks_uri})
    await door.forward("POST", "/mcp", door.bearer())
    assert door.gate.unready_reason()
    await door.gate.upstream.issuer.refresh_due()
    assert door.gate.unready_reason() is None


async def test_gate_becomes_ready_by_running(door: Door) -> None:
    running = asyncio.ensure_future(door.gate.run())
    async with asyncio.timeout(5):
        while door.gate.unready_reason():
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_building_needs_no_loop_and_no_network(fake_issuer: FakeIssuer, rsa_pair: SigningPair) -> None:
    assert Door(fake_issuer, rsa_pair, config_for(fake_issuer)).gate.unready_reason()
    assert fake_issuer.requests == []
