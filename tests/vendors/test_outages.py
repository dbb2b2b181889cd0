"""A vendor that is down, slow, overloaded or behind a broken gateway: nobody loses a login, and nobody gets a 401."""

import pytest

from tests.support.fake_issuer import Behaviour
from tests.support.tokens import SigningPair
from tests.support.vendors.grants import AuthorizationServer
from tests.support.vendors.wire import json_reply
from tests.vendors.answers import outcome, unavailable
from tests.vendors.cases import CASES, Case
from tests.vendors.scene import running

OUTAGES = (Behaviour.ERROR, Behaviour.TOO_MANY, Behaviour.HTML, Behaviour.NOT_JSON, Behaviour.HUGE)
REMOTE = sorted(name for name, case in CASES.items() if case.tokens)
SIGNING = sorted(name for name, case in CASES.items() if case.keys)


@pytest.mark.parametrize("behaviour", OUTAGES)
async def test_code_and_refresh_token_outlive_an_outage(
    case: Case, vendor: AuthorizationServer, behaviour: Behaviour
) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.reach_code()
        vendor.misbehave(case.token, behaviour)
        unavailable(await journey.try_redeem())
        vendor.misbehave(case.token, Behaviour.NORMAL)
        await journey.redeem()
        vendor.misbehave(case.token, behaviour)
        unavailable(await journey.try_refresh())
        vendor.misbehave(case.token, Behaviour.NORMAL)
        await journey.refresh()
        assert (await journey.call()).status_code == 200


async def test_vendor_that_is_down_altogether_is_unavailable_but_calls_go_on(
    case: Case, vendor: AuthorizationServer
) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.run()
        waiting = scene.journey(case.scope)
        await waiting.reach_code()
        vendor.close()
        unavailable(await waiting.try_redeem())
        unavailable(await journey.try_refresh())
        assert (await journey.call()).status_code == 200


@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error", "slow_down"])
async def test_errors_that_name_an_outage_are_one_whatever_their_status(
    case: Case, vendor: AuthorizationServer, error: str
) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.reach_code()
        working = vendor.routes["POST", case.token]
        vendor.routes["POST", case.token] = lambda _: json_reply(400, {"error": error})
        unavailable(await journey.try_redeem())
        vendor.routes["POST", case.token] = working
        await journey.redeem()


@pytest.mark.parametrize("name", SIGNING)
@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.HTML])
async def test_code_is_not_used_up_while_there_are_no_keys(name: str, behaviour: Behaviour, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        assert case.keys is not None
        vendor.misbehave(case.keys, behaviour)
        async with running(case.policy(vendor), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.reach_code()
            unavailable(await journey.try_redeem())
        assert vendor.asked(case.token) == []


@pytest.mark.parametrize("name", REMOTE)
@pytest.mark.parametrize("behaviour", OUTAGES)
async def test_token_that_cannot_be_checked_for_now_is_unavailable(
    name: str, behaviour: Behaviour, pair: SigningPair
) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        assert case.tokens is not None
        async with running(case.policy(vendor), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.reach_code()
            vendor.misbehave(case.tokens, behaviour)
            unavailable(await journey.try_redeem())


@pytest.mark.parametrize("behaviour", [Behaviour.HANG, Behaviour.SLOW])
async def test_vendor_that_does_not_come_to_an_end_is_unavailable_within_seconds(
    behaviour: Behaviour, pair: SigningPair
) -> None:
    case = CASES["google"]
    with case.make(pair) as vendor:
        async with running(case.policy(vendor), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.reach_code()
            vendor.misbehave(case.token, behaviour)
            unavailable(await journey.try_redeem())


@pytest.mark.parametrize("name", SIGNING)
async def test_login_that_cannot_begin_for_now_is_told_to_the_client(name: str, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        for _, place in vendor.routes:
            if "/.well-known/o" in place:
                vendor.misbehave(place, Behaviour.ERROR)
        async with running(case.policy(vendor), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.register()
            answer = await journey.browse("GET", journey.authorize_path())
        said = outcome(answer.headers["location"])
        assert vendor.asked(case.authorize) == []
    assert (answer.status_code, said["error"]) == (302, "temporarily_unavailable")
