"""What is peculiar to WorkOS."""

from collections.abc import Iterator

import pytest

from tests.support.tokens import SigningPair
from tests.support.vendors import workos
from tests.support.vendors.wire import Asked, Reply
from tests.support.vendors.workos import WorkOS
from tests.vendors.cases import CASES
from tests.vendors.scene import running

CASE = CASES["workos"]
PASSTHROUGH = {"tokenMode": "Passthrough"}


@pytest.fixture
def vendor(pair: SigningPair) -> Iterator[WorkOS]:
    with WorkOS(pair) as running_vendor:
        yield running_vendor


async def test_every_login_has_the_nonce_that_workos_requires(vendor: WorkOS) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        for _ in range(2):
            await scene.journey().run()
    nonces = {asked.query["nonce"] for asked in vendor.asked(workos.AUTHORIZE)}
    assert len(nonces) == 2


async def test_organization_of_the_access_token_and_name_of_the_id_token_need_no_userinfo(vendor: WorkOS) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey()
        await journey.run()
        await journey.refresh()
        assert (await journey.call()).status_code == 200
        said = scene.said_to_server()
    assert (said["x-mcp-org-id"], said["x-mcp-user-email"]) == (vendor.organization, vendor.email["email"])
    assert vendor.asked(workos.USERINFO) == []


@pytest.mark.parametrize("stranger", ["foreign", "machine", "session"])
async def test_token_of_the_same_environment_that_is_not_of_our_application_is_refused(
    stranger: str, vendor: WorkOS
) -> None:
    tokens = {
        "foreign": lambda: vendor.foreign_token(CASE.request["scope"]),
        "machine": vendor.machine_token,
        "session": vendor.session_token,
    }
    async with running(CASE.policy(vendor, proxy=PASSTHROUGH), vendor) as scene:
        journey = scene.journey()
        await journey.run()
        assert (await journey.call()).status_code == 200
        answer = await journey.call_with(tokens[stranger]())
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("named", ["client_01OTHER", None])
async def test_exchange_that_gives_a_token_of_another_application_ends_the_login(
    named: str | None, vendor: WorkOS
) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey()
        await journey.reach_code()
        vendor.named_client = named
        answer = await journey.try_redeem()
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")
    assert "access token of the identity provider: wrong_audience" in str(scene.lines)


async def test_audiences_of_the_policy_are_asked_for_besides_the_application(vendor: WorkOS) -> None:
    for audience, status in ((vendor.environment, 200), ("client_01ELSEWHERE", 500)):
        policy = CASE.policy(vendor, verification={"audiences": [audience]})
        async with running(policy, vendor) as scene:
            journey = scene.journey()
            await journey.reach_code()
            assert (await journey.try_redeem()).status_code == status


async def test_waiver_opens_to_every_application_of_the_environment(vendor: WorkOS) -> None:
    policy = CASE.policy(vendor, proxy=PASSTHROUGH, verification={"audience": "IssuerOnly"})
    async with running(policy, vendor) as scene:
        answer = await scene.journey().call_with(vendor.foreign_token(CASE.request["scope"]))
    assert answer.status_code == 200


async def test_userinfo_that_the_policy_chose_is_asked_once_a_login_and_once_a_refresh(vendor: WorkOS) -> None:
    async with running(CASE.policy(vendor, verification={"kind": "Userinfo"}), vendor) as scene:
        journey = scene.journey()
        await journey.run()
        assert len(vendor.asked(workos.USERINFO)) == 1
        await journey.refresh()
        assert len(vendor.asked(workos.USERINFO)) == 2
        for _ in range(3):
            assert (await journey.call()).status_code == 200
    assert len(vendor.asked(workos.USERINFO)) == 2


async def test_token_lives_no_longer_than_that_of_workos(vendor: WorkOS) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey()
        await journey.run()
    assert 290 <= journey.tokens["expires_in"] <= 300


async def test_userinfo_of_another_user_than_the_id_token_ends_the_login(vendor: WorkOS) -> None:
    async with running(CASE.policy(vendor, verification={"kind": "Userinfo"}), vendor) as scene:
        journey = scene.journey()
        await journey.reach_code()
        token = vendor.routes["POST", workos.TOKEN]

        def become_another(asked: Asked) -> Reply:
            reply = token(asked)
            vendor.user_id = "user_somebody_else"
            return reply

        vendor.routes["POST", workos.TOKEN] = become_another
        answer = await journey.try_redeem()
    # OpenID Connect Core section 5.3.2.
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")


@pytest.mark.parametrize("ended", [True, False])
async def test_token_that_userinfo_verifies_and_that_is_passed_through_is_checked_at_workos(
    ended: bool, vendor: WorkOS
) -> None:
    waiver = {"kind": "Userinfo", "audience": "IssuerOnly"}
    policy = CASE.policy(vendor, proxy=PASSTHROUGH, verification=waiver)
    async with running(policy, vendor) as scene:
        journey = scene.journey()
        await journey.run()
    if ended:
        vendor.end_logins()
    async with running(policy, vendor) as replica:
        answer = await replica.journey().call_with(journey.tokens["access_token"])
    assert answer.status_code == (401 if ended else 200)
