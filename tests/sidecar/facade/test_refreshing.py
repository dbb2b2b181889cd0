"""Refreshes: through the token endpoint, and where time matters, the single flight by itself."""

import asyncio
from typing import Any

import anyio
import pytest

from postern_sidecar.facade.artefacts import seal_as
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.refreshing import MAX_BYTES, MAX_ENTRIES, Refreshing
from postern_sidecar.facade.upstream_answers import UpstreamTokens
from postern_sidecar.sealing import Seals, upstream_name
from tests.sidecar.facade.building import NOW, body_of, make_ring
from tests.sidecar.facade.conftest import SceneMaker
from tests.sidecar.facade.scene import Scene
from tests.support.fake_idp import ABSENT, TOKEN_PATH, FakeIdp
from tests.support.fake_issuer import Behaviour
from tests.support.tokens import SigningPair

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logged")]


async def test_refresh_gives_working_tokens_and_follows_the_rotation(scene: Scene) -> None:
    first = await scene.log_in()
    answer = await scene.refresh(first["refresh_token"])
    second = body_of(answer)
    assert (answer.status, answer.event, answer.subject, second["scope"]) == (200, "refreshed", "alice", "mcp:read")
    assert (await scene.read(second["access_token"])).claims["name"] == "Alice"
    before, after = scene.grant_of(first["refresh_token"]), scene.grant_of(second["refresh_token"])
    assert after.upstream_token in scene.idp.state.refresh_tokens
    assert (after.family, after.subject, after.scopes) == (before.family, before.subject, before.scopes)
    assert after.upstream_token != before.upstream_token
    assert (await scene.refresh(second["refresh_token"])).status == 200


async def test_refresh_token_that_is_not_rotated_stays_in_use(scene: Scene) -> None:
    scene.idp.rotates = False
    first = await scene.log_in()
    second = body_of(await scene.refresh(first["refresh_token"]))
    assert (
        scene.grant_of(second["refresh_token"]).upstream_token == scene.grant_of(first["refresh_token"]).upstream_token
    )


async def test_parallel_refreshes_ask_once_and_all_work(scene: Scene) -> None:
    scene.idp.detects_reuse = True
    first = (await scene.log_in())["refresh_token"]
    answers = await asyncio.gather(*(scene.refresh(first) for _ in range(8)))
    assert [answer.status for answer in answers] == [200] * 8
    assert len(scene.idp.calls_to(TOKEN_PATH)) == 2
    for answer in answers[:3]:
        # Each goes on by itself: what they hold of the identity provider is the same.
        assert (await scene.refresh(body_of(answer)["refresh_token"])).status == 200
    assert len(scene.idp.calls_to(TOKEN_PATH)) == 3


async def test_answer_that_was_lost_is_given_again_within_a_minute(scene: Scene) -> None:
    scene.idp.detects_reuse = True
    first = (await scene.log_in())["refresh_token"]
    form = scene.refresh_form(first)
    assert (await scene.ask(form)).status == 200
    assert (await scene.ask(form, now=NOW + 59)).status == 200
    assert len(scene.idp.calls_to(TOKEN_PATH)) == 2
    answer = await scene.ask(form, now=NOW + 61)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")


async def test_second_replica_gives_what_the_identity_provider_allows(make_scene: SceneMaker, idp: FakeIdp) -> None:
    idp.rotates = False
    one, two = make_scene(), make_scene()
    refresh_token = (await one.log_in())["refresh_token"]
    form = one.refresh_form(refresh_token)
    answers = await asyncio.gather(one.ask(form), two.ask(form))
    assert [answer.status for answer in answers] == [200, 200]


async def test_revoked_login_is_to_be_started_anew(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    scene.idp.state.refresh_tokens.clear()
    answer = await scene.refresh(first)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.TOO_MANY, Behaviour.HTML, Behaviour.HANG])
async def test_outage_loses_nothing(scene: Scene, behaviour: Behaviour) -> None:
    first = (await scene.log_in())["refresh_token"]
    scene.idp.behaviours[TOKEN_PATH] = behaviour
    assert (await scene.refresh(first)).status == 503
    del scene.idp.behaviours[TOKEN_PATH]
    assert (await scene.refresh(first)).status == 200


async def test_outage_after_the_rotation_loses_nothing(make_scene: SceneMaker, idp: FakeIdp) -> None:
    idp.detects_reuse = True
    scene = make_scene(upstream={"userinfo": True})
    first = (await scene.log_in())["refresh_token"]
    idp.behaviours["/userinfo"] = Behaviour.ERROR
    assert (await scene.refresh(first)).status == 503
    del idp.behaviours["/userinfo"]
    assert (await scene.refresh(first)).status == 200


async def test_refresh_may_ask_for_less_and_for_all_again_later(scene: Scene) -> None:
    scene.idp.answer_members = {"scope": "mcp:read mcp:write"}
    answer = await scene.ask(scene.code_form(scene.code(scopes=("mcp:read", "mcp:write"))))
    less = body_of(await scene.refresh(body_of(answer)["refresh_token"], scope="mcp:write offline_access"))
    assert less["scope"] == "mcp:write"
    assert body_of(await scene.refresh(less["refresh_token"]))["scope"] == "mcp:read mcp:write"


async def test_scope_that_the_policy_no_longer_has_is_gone_after_a_refresh(
    make_scene: SceneMaker, idp: FakeIdp
) -> None:
    before = make_scene()
    idp.answer_members = {"scope": "mcp:read mcp:write"}
    answer = await before.ask(before.code_form(before.code(scopes=("mcp:read", "mcp:write"))))
    after = make_scene(verification={"supported_scopes": ("mcp:read",)})
    document = body_of(await after.ask(before.refresh_form(body_of(answer)["refresh_token"])))
    assert document["scope"] == "mcp:read"
    assert (await after.read(document["access_token"])).scopes == frozenset({"mcp:read"})


async def test_refresh_that_asks_for_more_is_told_so_and_asks_nobody(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    answer = await scene.refresh(first, scope="mcp:read mcp:write")
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_scope")
    assert "log in anew" in body_of(answer)["error_description"]
    assert len(scene.idp.calls_to(TOKEN_PATH)) == 1
    assert (await scene.refresh(first)).status == 200


async def test_refresh_token_of_another_client_issuer_or_ring_is_refused(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    grant = scene.grant_of(first)
    upstream = upstream_name(scene.context.config, scene.context.proxy)
    attempts = [
        scene.refresh_form(first, client_id=scene.another_client()),
        scene.refresh_form(seal_as(Seals(make_ring(), "https://other.example.com", upstream), grant, NOW)),
        scene.refresh_form(seal_as(Seals(make_ring("ring-2"), "https://mcp.example.com", upstream), grant, NOW)),
        scene.refresh_form(scene.code()),
        scene.refresh_form(first[:-4] + "AAAA"),
    ]
    for form in attempts:
        answer = await scene.ask(form)
        assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")
    assert len(scene.idp.calls_to(TOKEN_PATH)) == 1


@pytest.mark.parametrize("other", ["identity provider", "client there"])
async def test_refresh_token_of_one_identity_provider_is_never_sent_to_another(
    scene: Scene, idp: FakeIdp, rsa_pair: SigningPair, other: str
) -> None:
    first = (await scene.log_in())["refresh_token"]
    with FakeIdp(rsa_pair, now=lambda: NOW) as stranger:
        changed = {"identity provider": (stranger, "postern-client"), "client there": (idp, "another")}
        second, client_id = changed[other]
        idp.calls.clear()
        after = Scene.make(second, upstream={"client_id": client_id})
        # The client itself stays known: it logs in anew and need not register.
        answer = await after.ask(scene.refresh_form(first))
        assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")
        assert second.calls_to(TOKEN_PATH) == []
        await after.aclose()


async def test_refresh_for_another_resource_is_refused(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    answer = await scene.refresh(first, resource="https://other.example.com/mcp")
    assert body_of(answer)["error"] == "invalid_target"
    assert len(scene.idp.calls_to(TOKEN_PATH)) == 1


async def test_access_token_of_another_user_is_refused(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    scene.idp.access_claims = {"sub": "mallory"}
    answer = await scene.refresh(first)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")


async def test_id_token_of_another_user_is_refused(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    scene.idp.id_token_at_refresh = True
    scene.idp.id_claims = {"sub": "mallory"}
    assert body_of(await scene.refresh(first))["error"] == "invalid_grant"


async def test_id_token_of_a_refresh_needs_no_nonce_but_all_else(scene: Scene) -> None:
    scene.idp.id_token_at_refresh = True
    first = (await scene.log_in())["refresh_token"]
    second = body_of(await scene.refresh(first))["refresh_token"]
    scene.idp.id_claims = {"aud": "another-client"}
    assert body_of(await scene.refresh(second))["error"] == "server_error"


async def test_claims_of_the_login_last_and_fresh_ones_replace_them(scene: Scene) -> None:
    scene.idp.id_claims = {"email": "old@example.com", "org_id": "org-1"}
    first = (await scene.log_in())["refresh_token"]
    second = body_of(await scene.refresh(first))
    assert (await scene.read(second["access_token"])).claims["email"] == "old@example.com"
    scene.idp.id_token_at_refresh = True
    scene.idp.id_claims = {"email": "new@example.com"}
    claims = (await scene.read(body_of(await scene.refresh(second["refresh_token"]))["access_token"])).claims
    assert (claims["email"], claims["name"]) == ("new@example.com", "Alice")
    assert "org_id" not in claims


def tokens(name: str = "a", **changes: Any) -> UpstreamTokens:
    members = {"expires_in": None, "scope": None, "refresh_token": None, "id_token": None, "received_at": NOW}
    return UpstreamTokens(access_token=name, **{**members, **changes})


class Upstream:
    """Answers when it is told to."""

    def __init__(self, result: UpstreamTokens | OAuthFault | None = None) -> None:
        self.result = result or tokens()
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def ask(self) -> UpstreamTokens:
        self.asked += 1
        await self.may_answer.wait()
        if isinstance(self.result, OAuthFault):
            raise self.result
        return self.result


async def test_waiter_that_goes_away_ends_nobody_elses_refresh() -> None:
    refreshing, upstream = Refreshing(), Upstream()
    first = asyncio.create_task(refreshing.once("t", upstream.ask, NOW))
    await anyio.wait_all_tasks_blocked()
    second = asyncio.create_task(refreshing.once("t", upstream.ask, NOW))
    await anyio.wait_all_tasks_blocked()
    first.cancel()
    await asyncio.wait([first])
    upstream.may_answer.set()
    assert (await second).access_token == "a"
    assert (first.cancelled(), upstream.asked) == (True, 1)
    await refreshing.aclose()


async def test_answer_is_kept_when_all_waiters_went_away() -> None:
    refreshing, upstream = Refreshing(), Upstream()
    only = asyncio.create_task(refreshing.once("t", upstream.ask, NOW))
    await anyio.wait_all_tasks_blocked()
    only.cancel()
    await asyncio.wait([only])
    upstream.may_answer.set()
    await anyio.wait_all_tasks_blocked()
    assert (await refreshing.once("t", upstream.ask, NOW)).access_token == "a"
    assert upstream.asked == 1
    await refreshing.aclose()


async def test_wait_for_a_refresh_is_bounded() -> None:
    refreshing, upstream = Refreshing(wait_s=0.01), Upstream()
    with pytest.raises(OAuthFault, match="temporarily_unavailable"):
        await refreshing.once("t", upstream.ask, NOW)
    upstream.may_answer.set()
    await anyio.wait_all_tasks_blocked()
    assert (await refreshing.once("t", upstream.ask, NOW)).access_token == "a"
    await refreshing.aclose()


async def test_fault_is_told_to_all_who_wait_and_not_kept() -> None:
    refreshing, upstream = Refreshing(), Upstream(OAuthFault("invalid_grant", "no"))
    waiting = [asyncio.create_task(refreshing.once("t", upstream.ask, NOW)) for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    upstream.may_answer.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [getattr(result, "error", None) for result in results] == ["invalid_grant"] * 3
    upstream.result = tokens()
    assert (await refreshing.once("t", upstream.ask, NOW)).access_token == "a"
    await refreshing.aclose()


async def test_answer_is_forgotten_in_time_though_nobody_asks() -> None:
    refreshing, upstream = Refreshing(hold_s=0.01), Upstream()
    upstream.may_answer.set()
    await refreshing.once("t", upstream.ask, NOW)
    with anyio.fail_after(5):
        while len(refreshing):
            await asyncio.sleep(0.005)
    await refreshing.aclose()


async def test_short_lived_answer_is_not_repeated_beyond_half_its_life() -> None:
    refreshing, upstream = Refreshing(), Upstream(tokens(expires_in=20))
    upstream.may_answer.set()
    for now, asked in ((NOW, 1), (NOW + 9, 1), (NOW + 10, 2)):
        await refreshing.once("t", upstream.ask, now)
        assert upstream.asked == asked
    await refreshing.aclose()


async def test_memory_is_bounded_in_number_and_bytes() -> None:
    refreshing, upstream = Refreshing(), Upstream()
    upstream.may_answer.set()
    for number in range(MAX_ENTRIES + 10):
        await refreshing.once(f"t{number}", upstream.ask, NOW)
    assert len(refreshing) == MAX_ENTRIES
    upstream.result = tokens("x" * 16_000, refresh_token="y" * 16_000)
    for number in range(1000):
        await refreshing.once(f"u{number}", upstream.ask, NOW)
    assert len(refreshing) * 32_000 <= MAX_BYTES
    await refreshing.aclose()
    assert len(refreshing) == 0


async def test_different_refresh_tokens_do_not_wait_for_each_other() -> None:
    refreshing, stuck, quick = Refreshing(), Upstream(), Upstream(tokens("b"))
    waiting = asyncio.create_task(refreshing.once("t", stuck.ask, NOW))
    await anyio.wait_all_tasks_blocked()
    quick.may_answer.set()
    assert (await refreshing.once("u", quick.ask, NOW)).access_token == "b"
    await refreshing.aclose()
    await asyncio.wait([waiting])


async def test_login_without_scope_in_the_answer_keeps_its_scopes(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    scene.idp.answer_members = {"scope": ABSENT}
    assert body_of(await scene.refresh(first))["scope"] == "mcp:read"
