from typing import Any

import pytest

from postern_sidecar.facade.identities import MAX_CLAIMS_BYTES, bound_claims
from tests.sidecar.facade.building import body_of
from tests.sidecar.facade.conftest import SceneMaker
from tests.sidecar.facade.scene import Scene
from tests.support.fake_idp import ABSENT, USERINFO_PATH, FakeIdp
from tests.support.fake_issuer import Behaviour
from tests.support.policies import make_proxy_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logged")]


@pytest.fixture
def scene(make_scene: SceneMaker) -> Scene:
    return make_scene(upstream={"userinfo": True})


async def test_userinfo_adds_claims_and_the_access_token_wins(scene: Scene) -> None:
    scene.idp.id_claims = {"email": "id@example.com"}
    scene.idp.user_claims = {"email": "userinfo@example.com", "picture": "userinfo"}
    scene.idp.access_claims = {"picture": "access"}
    claims = (await scene.read((await scene.log_in())["access_token"])).claims
    assert (claims["email"], claims["picture"]) == ("userinfo@example.com", "access")


async def test_userinfo_is_asked_again_at_a_refresh(scene: Scene) -> None:
    scene.idp.user_claims = {"org_id": "old"}
    first = await scene.log_in()
    scene.idp.user_claims = {"org_id": "new"}
    second = body_of(await scene.refresh(first["refresh_token"]))
    assert (await scene.read(second["access_token"])).claims["org_id"] == "new"


async def test_claim_that_userinfo_no_longer_has_is_gone_after_a_refresh(scene: Scene) -> None:
    scene.idp.user_claims = {"roles": ["admin"]}
    first = await scene.log_in()
    scene.idp.user_claims = {}
    second = body_of(await scene.refresh(first["refresh_token"]))
    assert "roles" not in (await scene.read(second["access_token"])).claims


async def test_right_that_a_later_id_token_no_longer_has_is_gone_and_a_name_stays(scene: Scene) -> None:
    scene.idp.user_claims = {}
    scene.idp.id_claims = {"roles": ["admin"], "groups": ["owners"], "email": "a@example.com", "email_verified": True}
    first = await scene.log_in()
    scene.idp.id_token_at_refresh = True
    scene.idp.id_claims = {"name": ABSENT}
    second = body_of(await scene.refresh(first["refresh_token"]))
    third = body_of(await scene.refresh(second["refresh_token"]))
    for document in (second, third):
        claims = (await scene.read(document["access_token"])).claims
        assert (claims["name"], claims["email"]) == ("Alice", "a@example.com")
        assert {"roles", "groups", "email_verified"}.isdisjoint(claims)


async def test_claims_of_the_id_token_last_as_long_as_no_other_comes(scene: Scene) -> None:
    scene.idp.id_claims = {"roles": ["admin"]}
    first = await scene.log_in()
    second = body_of(await scene.refresh(first["refresh_token"]))
    assert (await scene.read(second["access_token"])).claims["roles"] == ["admin"]


async def test_userinfo_of_another_user_is_refused(scene: Scene) -> None:
    scene.idp.user_claims = {"sub": "mallory"}
    assert body_of(await scene.ask(scene.code_form()))["error"] == "server_error"


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [(Behaviour.ERROR, 503), (Behaviour.HTML, 503), (Behaviour.HANG, 503), (Behaviour.NOT_FOUND, 503)],
)
async def test_userinfo_that_cannot_be_had_is_an_outage(scene: Scene, behaviour: Behaviour, status: int) -> None:
    scene.idp.behaviours[USERINFO_PATH] = behaviour
    assert (await scene.ask(scene.code_form())).status == status


async def test_userinfo_that_refuses_the_token_is_a_fault(scene: Scene, logged: list[dict[str, Any]]) -> None:
    scene.idp.on_request = lambda path: scene.idp.state.access_tokens.clear() if path == USERINFO_PATH else None
    assert (await scene.ask(scene.code_form())).status == 500
    assert "status 401" in logged[-1]["cause"]


async def test_userinfo_of_the_policy_comes_before_the_metadata(make_scene: SceneMaker, idp: FakeIdp) -> None:
    idp.metadata["userinfo_endpoint"] = idp.origin + "/elsewhere"
    scene = make_scene(upstream={"userinfo": True, "userinfo_url": idp.origin + USERINFO_PATH})
    await scene.log_in()
    assert len(idp.calls_to(USERINFO_PATH)) == 1


def test_claims_within_the_bound_are_all_kept() -> None:
    claims = {"sub": "alice", "anything": ["x"] * 10}
    assert bound_claims(claims, make_proxy_config()) == (claims, [])


@pytest.mark.parametrize("size", [MAX_CLAIMS_BYTES, 10 * MAX_CLAIMS_BYTES])
def test_sub_is_never_lost_to_the_bound(size: int) -> None:
    kept, dropped = bound_claims({"roles": ["x" * size], "sub": "alice", "noise": "n"}, make_proxy_config())
    assert (kept, dropped) == ({"sub": "alice"}, ["roles"])
