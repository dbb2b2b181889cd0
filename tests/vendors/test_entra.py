"""What is peculiar to Microsoft Entra ID."""

from collections.abc import Iterator

import pytest

from tests.support.tokens import SigningPair
from tests.support.vendors import entra
from tests.support.vendors.entra import Entra
from tests.vendors.answers import outcome, refused
from tests.vendors.cases import CASES
from tests.vendors.scene import make_policy, running

CASE = CASES["entra"]
GUID = "8d9aefa8-8693-45ef-8956-fa6584dfa06f"


@pytest.fixture
def vendor(pair: SigningPair) -> Iterator[Entra]:
    with Entra(pair) as running_vendor:
        yield running_vendor


@pytest.mark.parametrize("mode", ["Sealed", "Passthrough"])
async def test_tokens_of_version_1_are_taken_as_well(mode: str, vendor: Entra) -> None:
    vendor.token_version = 1
    async with running(CASE.policy(vendor, proxy={"tokenMode": mode}), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        assert (await journey.call()).status_code == 200
        said = scene.said_to_server()
        await journey.refresh()
        assert (await journey.call()).status_code == 200
    assert (said["x-mcp-user-id"], said["x-mcp-user-username"]) == ("0f00", "alice@example.com")
    assert said["x-mcp-org-id"] == entra.TENANT


async def test_application_id_uri_of_ones_own_is_what_scopes_are_spelled_with(vendor: Entra) -> None:
    vendor.api_uri = "https://weather.example.com"
    provider = {"entra": {"tenantID": entra.TENANT, "applicationIDURI": vendor.api_uri}}
    policy = make_policy(provider, vendor, scopes={"required": ["access_as_user"]})
    async with running(policy, vendor) as scene:
        journey = scene.journey("access_as_user")
        await journey.run()
        assert (await journey.call()).status_code == 200
        await journey.refresh()
    assert journey.tokens["scope"] == "access_as_user"
    (asked,) = vendor.asked(entra.AUTHORIZE)
    assert "https://weather.example.com/access_as_user" in asked.query["scope"].split()


async def test_policy_without_scopes_gets_a_token_for_its_own_api_and_can_refresh_it(vendor: Entra) -> None:
    policy = make_policy({"entra": {"tenantID": entra.TENANT}}, vendor)
    async with running(policy, vendor) as scene:
        journey = scene.journey()
        await journey.run()
        assert (await journey.call()).status_code == 200
        await journey.refresh()
        assert (await journey.call()).status_code == 200
    (asked,) = vendor.asked(entra.AUTHORIZE)
    assert asked.query["scope"] == f"openid profile email {GUID}/.default offline_access"


async def test_resource_of_the_client_never_reaches_entra(vendor: Entra) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        assert "resource=" in journey.authorize_path()
        assert "resource" in journey.code_form()
        await journey.refresh()
    assert len(vendor.log) >= 3
    assert not [asked for asked in vendor.log if "resource" in asked.query or "resource" in asked.form]


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "consent_required", "login_required"])
async def test_refresh_for_which_entra_wants_the_user_makes_the_client_log_in(error: str, vendor: Entra) -> None:
    async with running(CASE.policy(vendor), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        vendor.demands = error
        refused(await journey.try_refresh(), 400, "invalid_grant", vendor)


async def test_scope_that_the_api_does_not_expose_is_an_error_at_the_client_without_entras_words(vendor: Entra) -> None:
    policy = make_policy(CASE.provider, vendor, scopes={"required": ["access_as_nobody"]})
    async with running(policy, vendor) as scene:
        journey = scene.journey()
        await journey.reach_code()
        (line,) = scene.events("identity provider refused a login")
    assert "AADSTS650053" in line["description"]
    said = outcome(journey.location)
    assert said["error"] == "server_error"
    assert "AADSTS" not in said["error_description"]


async def test_scopes_of_two_apis_are_the_administrators_fault_and_not_the_users(vendor: Entra) -> None:
    requested = ["openid", "https://graph.microsoft.com/User.Read"]
    policy = make_policy(CASE.provider, vendor, scopes={"required": ["access_as_user"], "requested": requested})
    async with running(policy, vendor) as scene:
        journey = scene.journey()
        await journey.reach_code()
        refused(await journey.try_redeem(), 500, "server_error", vendor)
        assert [line for line in scene.lines if "AADSTS28000" in str(line)]


async def test_other_tenant_is_refused(vendor: Entra) -> None:
    other = {"entra": {"tenantID": "00000000-0000-4000-8000-000000000000"}}
    async with running(make_policy(other, vendor, scopes=CASE.spec["scopes"]), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.register()
        answer = await journey.browse("GET", journey.authorize_path())
    assert outcome(answer.headers["location"])["error"] == "temporarily_unavailable"
    assert vendor.asked(entra.AUTHORIZE) == []


async def test_required_scope_that_the_user_did_not_grant_is_insufficient(vendor: Entra) -> None:
    async with running(CASE.policy(vendor, proxy={"tokenMode": "Passthrough"}), vendor) as scene:
        journey = scene.journey(CASE.scope)
        await journey.run()
        login = next(iter(vendor.tokens.codes.values()))
        form = {"scope": f"api://{GUID}/weather.write"}
        other = vendor.members(login, form, at_refresh=False)["access_token"]
        answer = await journey.call_with(other)
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
