"""What is peculiar to GitHub."""

import pytest

from tests.support.tokens import SigningPair
from tests.support.vendors import github
from tests.support.vendors.github import GitHub
from tests.vendors.scene import make_policy, running

SCOPES = {"requested": ["read:user", "user:email"], "supported": ["repo", "gist"], "required": ["repo"]}


async def test_oauth_app_has_neither_refresh_tokens_nor_an_end_and_its_scopes_come_with_commas(
    pair: SigningPair,
) -> None:
    with GitHub(pair) as vendor:
        async with running(make_policy({"github": {}}, vendor, scopes=SCOPES), vendor) as scene:
            journey = scene.journey("repo")
            await journey.run()
            assert (await journey.call()).status_code == 200
            assert scene.said_to_server()["x-mcp-scopes"] == "repo"
        (asked,) = vendor.asked(github.AUTHORIZE)
        assert asked.query["scope"] == "read:user user:email repo"
        (login,) = vendor.tokens.codes.values()
        assert vendor.members(login, {}, at_refresh=False)["scope"] == "read:user,user:email,repo"
    assert "refresh_token" not in journey.tokens
    assert (journey.tokens["scope"], journey.tokens["expires_in"]) == ("repo", 3600)


async def test_scope_that_the_user_does_not_get_is_not_given(pair: SigningPair) -> None:
    with GitHub(pair) as vendor:
        policy = make_policy({"github": {}}, vendor, scopes={"supported": ["repo", "admin:none"]})
        async with running(policy, vendor) as scene:
            journey = scene.journey("repo admin:none")
            await journey.run()
    assert journey.tokens["scope"] == "repo"


async def test_token_is_checked_as_one_of_our_application_before_the_user_is_asked_for(pair: SigningPair) -> None:
    with GitHub(pair) as vendor:
        async with running(make_policy({"github": {}}, vendor), vendor) as scene:
            await scene.journey().run()
        order = [asked.place for asked in vendor.log]
    assert order == [github.AUTHORIZE, github.TOKEN, vendor.check_place, "api.github.com/user"]


async def test_old_refresh_token_of_a_github_app_is_good_no_longer(pair: SigningPair) -> None:
    with GitHub(pair, is_github_app=True) as vendor:
        async with running(make_policy({"github": {}}, vendor), vendor) as scene:
            journey = scene.journey()
            await journey.run()
            old = dict(journey.tokens)
            await journey.refresh()
        journey.tokens = old
        async with running(make_policy({"github": {}}, vendor), vendor) as other_replica:
            later = other_replica.journey()
            later.client_id, later.tokens = journey.client_id, old
            answer = await later.try_refresh()
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("url", "web", "api"),
    [
        pytest.param(
            "https://github.example.com", "github.example.com", "github.example.com/api/v3", id="enterprise server"
        ),
        pytest.param("https://acme.ghe.com", "acme.ghe.com", "api.acme.ghe.com", id="enterprise cloud"),
    ],
)
async def test_enterprise_is_asked_at_its_own_places(url: str, web: str, api: str, pair: SigningPair) -> None:
    with GitHub(pair, web=web, api=api) as vendor:
        async with running(make_policy({"github": {"enterpriseURL": url}}, vendor), vendor) as scene:
            journey = scene.journey()
            await journey.run()
            assert (await journey.call()).status_code == 200
            assert scene.said_to_server()["x-mcp-user-username"] == "alice"
        assert {asked.place for asked in vendor.log} == {
            f"{web}/login/oauth/authorize",
            f"{web}/login/oauth/access_token",
            vendor.check_place,
            f"{api}/user",
        }


async def test_user_who_cannot_be_asked_for_is_an_outage(pair: SigningPair) -> None:
    with GitHub(pair) as vendor:
        vendor.routes["GET", "api.github.com/user"] = vendor.routes["GET", github.AUTHORIZE]
        async with running(make_policy({"github": {}}, vendor), vendor) as scene:
            journey = scene.journey()
            await journey.reach_code()
            answer = await journey.try_redeem()
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")


async def test_server_may_have_the_token_of_github_itself(pair: SigningPair) -> None:
    with GitHub(pair) as vendor:
        policy = make_policy({"github": {}}, vendor, forward={"accessToken": "Upstream"})
        async with running(policy, vendor) as scene:
            journey = scene.journey()
            await journey.run()
            assert (await journey.call()).status_code == 200
            (token,) = vendor.tokens.access
            assert scene.said_to_server()["authorization"] == f"Bearer {token}"
            assert token not in journey.tokens.values()
