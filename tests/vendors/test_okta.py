"""What is peculiar to Okta."""

from collections.abc import Iterator

import pytest

from tests.support.tokens import SigningPair
from tests.support.vendors import okta
from tests.support.vendors.okta import Okta
from tests.vendors.answers import outcome, refused
from tests.vendors.cases import CASES
from tests.vendors.scene import make_policy, running

CASE = CASES["okta"]


@pytest.fixture
def vendor(pair: SigningPair) -> Iterator[Okta]:
    with Okta(pair) as running_vendor:
        yield running_vendor


async def test_code_that_is_a_minute_old_is_invalid_grant(vendor: Okta) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.reach_code()
        vendor.ahead_s = 61
        refused(await journey.try_redeem(), 400, "invalid_grant", vendor)


async def test_two_replicas_may_use_one_refresh_token_within_the_grace_period_and_not_after(vendor: Okta) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        assert (await journey.try_refresh()).status_code == 200
    async with running(CASE.policy(vendor), vendor) as second:
        later = second.journey(CASE.scope)
        later.client_id, later.tokens = journey.client_id, journey.tokens
        assert (await later.try_refresh()).status_code == 200
    vendor.ahead_s = 29
    async with running(CASE.policy(vendor), vendor) as third:
        latest = third.journey(CASE.scope)
        latest.client_id, latest.tokens = journey.client_id, journey.tokens
        vendor.ahead_s = 31
        refused(await latest.try_refresh(), 400, "invalid_grant", vendor)


async def test_refresh_token_that_does_not_rotate_is_used_again_and_again(vendor: Okta) -> None:
    vendor.rotates = False
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        await journey.refresh()
    async with running(CASE.policy(vendor), vendor) as later:
        again = later.journey(CASE.scope)
        again.client_id, again.tokens = journey.client_id, journey.tokens
        await again.refresh()
    used = {asked.form["refresh_token"] for asked in vendor.asked(okta.TOKEN) if "refresh_token" in asked.form}
    assert used == set(vendor.tokens.refresh)
    assert len(used) == 1


async def test_scope_that_okta_does_not_know_is_an_error_at_the_client_without_oktas_words(vendor: Okta) -> None:
    policy = make_policy(CASE.provider, vendor, scopes={"required": ["weather.none"]})
    async with running(policy, vendor) as scene:
        journey = scene.journey()
        await journey.reach_code()
    said = outcome(journey.location)
    assert said["error"] == "server_error"
    assert "configured" not in said["error_description"]


@pytest.mark.parametrize("mode", ["Sealed", "Passthrough"])
async def test_list_of_scopes_in_a_token_counts(mode: str, vendor: Okta) -> None:
    async with running(CASE.policy(vendor, proxy={"tokenMode": mode}), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        assert (await journey.call()).status_code == 200
        assert "weather.read" in scene.said_to_server()["x-mcp-scopes"].split(",")


async def test_custom_authorization_server_with_its_audience_is_asked_at_its_own_place(pair: SigningPair) -> None:
    provider = {"okta": {"domain": "acme.okta.com", "authorizationServer": "aus9", "audience": "urn:weather"}}
    with Okta(pair) as vendor:
        async with running(make_policy(provider, vendor), vendor) as scene:
            journey = scene.journey()
            await journey.register()
            await journey.browse("GET", journey.authorize_path())
        assert "acme.okta.com/oauth2/aus9/.well-known/openid-configuration" in {asked.place for asked in vendor.log}


async def test_audience_of_another_server_of_the_org_ends_the_login(vendor: Okta) -> None:
    vendor.audience = "api://other"
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.reach_code()
        answer = await journey.try_redeem()
        assert [line for line in scene.lines if "audience" in str(line)]
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")


async def test_userinfo_that_fails_is_an_outage(vendor: Okta) -> None:
    vendor.routes["GET", okta.USERINFO] = vendor.routes["GET", okta.AUTHORIZE]
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.reach_code()
        answer = await journey.try_redeem()
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


async def test_revocation_ends_the_login_at_okta(vendor: Okta) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        form = {"token": journey.tokens["refresh_token"], "client_id": journey.client_id}
        assert (await journey.ask("POST", "/revoke", data=form)).status_code == 200
        (asked,) = vendor.asked(okta.REVOKE)
        assert asked.headers["authorization"].startswith("Basic ")
        refused(await journey.try_refresh(), 400, "invalid_grant", vendor)
