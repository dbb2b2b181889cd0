"""What every vendor refuses, and how the client and the administrator learn of it: never in the vendor's words."""

from tests.support.vendors.grants import AuthorizationServer
from tests.vendors.answers import outcome, refused
from tests.vendors.cases import Case
from tests.vendors.scene import running


async def test_code_that_the_vendor_knows_as_used_is_invalid_grant(case: Case, vendor: AuthorizationServer) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.reach_code()
        assert (await journey.try_redeem()).status_code == 200
        refused(await journey.try_redeem(), 400, "invalid_grant", vendor)


async def test_login_that_ended_at_the_vendor_is_invalid_grant_and_a_new_one_works(
    case: Case, vendor: AuthorizationServer
) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.run()
        vendor.end_logins()
        refused(await journey.try_refresh(), 400, "invalid_grant", vendor)
        anew = scene.journey(case.scope)
        await anew.run()
        assert (await anew.call()).status_code == 200


async def test_wrong_client_secret_is_told_to_the_administrator(case: Case, vendor: AuthorizationServer) -> None:
    async with running(case.policy(vendor), vendor, secret="of another app") as scene:
        journey = scene.journey(case.scope)
        await journey.reach_code()
        refused(await journey.try_redeem(), 500, "server_error", vendor)
        (line,) = scene.events("client_rejected")
        assert (line["file"], line["field"]) == ("client-secret", "spec.proxy.client.secretRef")
        page = await journey.browse("GET", journey.authorize_path())
        assert page.status_code == 503
        assert page.headers["retry-after"]
        assert "administrator" in page.text


async def test_client_id_that_the_vendor_does_not_know_is_told_to_the_administrator(
    case: Case, vendor: AuthorizationServer
) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.reach_code()
        vendor.app.id = "deleted"
        refused(await journey.try_redeem(), 500, "server_error", vendor)
        # Some vendors say it with unauthorized_client, which may be about the grant as well.
        assert scene.events("client_rejected") or vendor.said[-1] in str(scene.lines)


async def test_user_who_refuses_at_the_vendor_is_access_denied(case: Case, vendor: AuthorizationServer) -> None:
    vendor.user_refuses = True
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.reach_code()
    said = outcome(journey.location)
    assert (said["error"], said["state"], said["iss"]) == ("access_denied", "client-state", "https://mcp.example.com")
    assert "code" not in said
    assert not [text for text in vendor.said if text in said["error_description"]]


async def test_parallel_use_of_one_refresh_token_asks_the_vendor_once(case: Case, vendor: AuthorizationServer) -> None:
    async with running(case.policy(vendor), vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.run()
        answers = [await journey.try_refresh() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(vendor.asked(case.token)) == 2


async def test_client_without_refresh_tokens_has_the_vendor_asked_for_none(
    case: Case, vendor: AuthorizationServer
) -> None:
    policy = case.policy(vendor, proxy={"grantTypes": ["authorization_code"]})
    async with running(policy, vendor) as scene:
        journey = scene.journey(case.scope)
        await journey.run()
    assert "refresh_token" not in journey.tokens
    (asked,) = vendor.asked(case.authorize)
    assert "offline_access" not in asked.query["scope"].split()
    assert "access_type" not in asked.query
