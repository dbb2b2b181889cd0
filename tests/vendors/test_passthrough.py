"""The vendor's own access tokens, handed out as they are: those of other applications and APIs open nothing."""

import httpx
import pytest

from tests.support.fake_issuer import Behaviour
from tests.support.tokens import SigningPair
from tests.support.vendors.entra import Entra
from tests.support.vendors.okta import Okta
from tests.vendors.cases import CASES
from tests.vendors.scene import running

PASSTHROUGH = {"tokenMode": "Passthrough"}
REMOTE = sorted(name for name, case in CASES.items() if case.tokens)


def refused(answer: httpx.Response) -> None:
    """An answer that makes a client log in."""
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("name", sorted(CASES))
async def test_token_of_the_vendor_works_and_says_who_it_is(name: str, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.run()
            assert journey.tokens["access_token"] in vendor.tokens.access
            assert (await journey.call()).status_code == 200
            assert scene.said_to_server()["x-mcp-user-id"] == case.headers["x-mcp-user-id"]
            await journey.refresh()
            assert (await journey.call()).status_code == 200


@pytest.mark.parametrize("name", sorted(CASES))
async def test_token_that_a_user_gave_to_somebody_else_is_refused(name: str, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            foreign = vendor.foreign_token(case.request["scope"])
            refused(await scene.journey().call_with(foreign))


@pytest.mark.parametrize("name", REMOTE)
@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.TOO_MANY, Behaviour.HTML])
async def test_token_that_nobody_can_check_for_now_is_not_thrown_away(
    name: str, behaviour: Behaviour, pair: SigningPair
) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        assert case.tokens is not None
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.run()
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as other_replica:
            vendor.misbehave(case.tokens, behaviour)
            answer = await other_replica.journey().call_with(journey.tokens["access_token"])
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("name", REMOTE)
async def test_token_that_ended_at_the_vendor_is_refused_by_who_sees_it_first(name: str, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.run()
        vendor.end_logins()
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as other_replica:
            refused(await other_replica.journey().call_with(journey.tokens["access_token"]))


@pytest.mark.parametrize("name", REMOTE)
async def test_many_calls_with_one_token_ask_the_vendor_once(name: str, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        assert case.tokens is not None
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.run()
            before = len(vendor.asked(case.tokens))
            for _ in range(5):
                assert (await journey.call()).status_code == 200
            assert len(vendor.asked(case.tokens)) <= before + 1


async def test_token_of_github_cannot_be_checked_with_a_wrong_secret_and_is_not_thrown_away(pair: SigningPair) -> None:
    case = CASES["github"]
    with case.make(pair) as vendor:
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.run()
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor, secret="of another app") as scene:
            answer = await scene.journey().call_with(journey.tokens["access_token"])
            assert answer.status_code == 503
            (line,) = scene.events("tokens cannot be verified")
            assert "client-secret" in line["cause"]


async def test_token_of_entra_for_another_api_of_the_tenant_is_refused(pair: SigningPair) -> None:
    case = CASES["entra"]
    with Entra(pair) as vendor:
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            refused(await scene.journey().call_with(vendor.foreign_api_token()))


async def test_token_of_oktas_own_org_server_is_refused(pair: SigningPair) -> None:
    case = CASES["okta"]
    with Okta(pair) as vendor:
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            refused(await scene.journey().call_with(vendor.org_token()))


@pytest.mark.parametrize("name", sorted(set(CASES) - {"github"}))
async def test_id_token_opens_nothing(name: str, pair: SigningPair) -> None:
    case = CASES[name]
    with case.make(pair) as vendor:
        async with running(case.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
            journey = scene.journey(case.scope)
            await journey.run()
            refused(await journey.call_with(vendor.tokens.ids[0]))
