"""What is peculiar to Google."""

from collections.abc import Iterator

import pytest

from tests.support.tokens import SigningPair
from tests.support.vendors import google
from tests.support.vendors.google import Google
from tests.vendors.answers import outcome
from tests.vendors.cases import CASES
from tests.vendors.scene import make_policy, running

CASE = CASES["google"]


@pytest.fixture
def vendor(pair: SigningPair) -> Iterator[Google]:
    with Google(pair) as running_vendor:
        yield running_vendor


async def test_short_scopes_come_back_short_although_google_names_them_by_uri(vendor: Google) -> None:
    policy = make_policy({"google": {}}, vendor, scopes={"required": ["email"], "supported": ["email", "profile"]})
    async with running(policy, vendor) as scene:
        journey = scene.journey("email profile")
        await journey.run()
        assert journey.tokens["scope"] == "email profile"
        assert (await journey.call()).status_code == 200
    assert "userinfo.email" in vendor.members(next(iter(vendor.tokens.codes.values())), {}, at_refresh=False)["scope"]


async def test_client_that_asks_for_offline_access_gets_a_refresh_token_and_google_no_scope_it_refuses(
    vendor: Google,
) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(f"{CASE.scope} offline_access")
        await journey.run()
        assert journey.tokens["refresh_token"]
    (asked,) = vendor.asked(google.AUTHORIZE)
    assert "offline_access" not in asked.query["scope"]


async def test_second_login_of_a_user_gets_a_refresh_token_too(vendor: Google) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        for _ in range(2):
            journey = scene.journey(CASE.scope)
            await journey.run()
            assert "refresh_token" in journey.tokens


async def test_id_token_may_name_google_without_its_scheme(vendor: Google) -> None:
    vendor.id_token_issuer = "accounts.google.com"
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        assert (await journey.call()).status_code == 200


async def test_id_token_of_somebody_else_ends_the_login(vendor: Google) -> None:
    vendor.id_token_issuer = "https://accounts.example.com"
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.reach_code()
        answer = await journey.try_redeem()
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")


async def test_iss_in_the_redirect_is_taken_when_it_comes(vendor: Google) -> None:
    vendor.sends_iss = True
    async with running(CASE.policy(vendor), vendor) as scene:
        await scene.journey(CASE.scope).run()


async def test_revocation_ends_the_login_at_google(vendor: Google) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        form = {"token": journey.tokens["refresh_token"], "client_id": journey.client_id}
        for _ in range(2):
            assert (await journey.ask("POST", "/revoke", data=form)).status_code == 200
        (login,) = vendor.tokens.refresh.values()
        assert login.is_ended
        refused = await journey.try_refresh()
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


async def test_own_parameters_of_the_policy_reach_google(vendor: Google) -> None:
    proxy = {"extraAuthorizeParams": {"hd": "example.com", "prompt": "select_account consent"}}
    async with running(CASE.policy(vendor, proxy=proxy), vendor) as scene:
        await scene.journey(CASE.scope).run()
    (asked,) = vendor.asked(google.AUTHORIZE)
    assert (asked.query["hd"], asked.query["prompt"]) == ("example.com", "select_account consent")
    assert asked.query["access_type"] == "offline"


async def test_tokens_are_never_part_of_a_url(vendor: Google) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        await scene.journey(CASE.scope).run()
    (asked,) = vendor.asked(google.TOKENINFO)
    assert (asked.method, asked.query) == ("POST", {})
    assert asked.form.keys() == {"access_token"}


async def test_unknown_scope_ends_on_googles_own_page(vendor: Google) -> None:
    policy = make_policy({"google": {}}, vendor, scopes={"supported": ["calendar"]})
    async with running(policy, vendor) as scene:
        journey = scene.journey("calendar")
        for step in (journey.register, journey.authorize, journey.approve):
            await step()
        with pytest.raises(AssertionError, match="Some requested scopes were invalid"):
            await journey.log_in()


async def test_error_that_google_sends_back_is_not_shown(vendor: Google) -> None:
    vendor.user_refuses = True
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.reach_code()
        (line,) = scene.events("identity provider refused a login")
    assert line["description"] == vendor.said[0]
    assert vendor.said[0] not in outcome(journey.location)["error_description"]
