"""What is peculiar to Auth0."""

from collections.abc import Iterator

import pytest

from tests.support.tokens import SigningPair
from tests.support.vendors import auth0
from tests.support.vendors.auth0 import Auth0
from tests.vendors.answers import outcome
from tests.vendors.cases import CASES
from tests.vendors.scene import make_policy, running

CASE = CASES["auth0"]


@pytest.fixture
def vendor(pair: SigningPair) -> Iterator[Auth0]:
    with Auth0(pair) as running_vendor:
        yield running_vendor


@pytest.mark.parametrize("profile", ["auth0", "rfc9068"])
@pytest.mark.parametrize("mode", ["Sealed", "Passthrough"])
async def test_both_profiles_of_access_tokens_are_taken(profile: str, mode: str, vendor: Auth0) -> None:
    vendor.token_profile = profile
    async with running(CASE.policy(vendor, proxy={"tokenMode": mode}), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        assert (await journey.call()).status_code == 200
        said = scene.said_to_server()
    assert (said["x-mcp-user-id"], said["x-mcp-permissions"]) == ("auth0|alice", "weather:forecast")
    assert said["x-mcp-org-id"] == "org_1"


async def test_api_that_gives_no_permissions_says_none(vendor: Auth0) -> None:
    vendor.permissions, vendor.organization = (), {}
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        await journey.call()
        said = scene.said_to_server()
    assert not {"x-mcp-permissions", "x-mcp-org-id"} & said.keys()


async def test_scope_that_the_api_has_not_is_left_out(vendor: Auth0) -> None:
    policy = make_policy(CASE.provider, vendor, scopes={"supported": ["weather.read", "weather.none"]})
    async with running(policy, vendor) as scene:
        journey = scene.journey("weather.read weather.none")
        await journey.run()
    assert journey.tokens["scope"] == "weather.read"


async def test_audience_that_is_no_api_is_an_error_at_the_client_without_auth0s_words(vendor: Auth0) -> None:
    provider = {"auth0": {"domain": "acme.eu.auth0.com", "audience": "urn:nothing"}}
    async with running(make_policy(provider, vendor), vendor) as scene:
        journey = scene.journey()
        await journey.reach_code()
        (line,) = scene.events("identity provider refused a login")
    assert line["description"] == "Service not found: urn:nothing"
    said = outcome(journey.location)
    assert said["error"] == "access_denied"
    assert "Service" not in said["error_description"]


async def test_encrypted_access_token_ends_the_login_with_a_word_to_the_administrator(vendor: Auth0) -> None:
    vendor.token_profile = "encrypted"
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.reach_code()
        answer = await journey.try_redeem()
        assert [line for line in scene.lines if "access token of the identity provider" in str(line)]
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")


async def test_token_for_another_api_of_the_tenant_ends_the_login(vendor: Auth0) -> None:
    proxy = {"extraAuthorizeParams": {"audience": "urn:other"}}
    async with running(CASE.policy(vendor, proxy=proxy), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.reach_code()
        answer = await journey.try_redeem()
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")


async def test_own_parameters_of_the_policy_reach_auth0(vendor: Auth0) -> None:
    proxy = {"extraAuthorizeParams": {"connection": "google-oauth2", "organization": "org_1"}}
    async with running(CASE.policy(vendor, proxy=proxy), vendor) as scene:
        await scene.journey(CASE.scope).run()
    (asked,) = vendor.asked(auth0.AUTHORIZE)
    assert (asked.query["connection"], asked.query["organization"]) == ("google-oauth2", "org_1")
    assert asked.query["audience"] == "urn:weather"
