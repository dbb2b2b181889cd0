from typing import Any

import pytest

from postern_crds.sidecar_config import ClientConfig, HeaderClaim
from postern_sidecar.facade.artefacts import fingerprint
from tests.sidecar.facade.building import NOW, body_of
from tests.sidecar.facade.conftest import SceneMaker
from tests.sidecar.facade.scene import CLIENT_REDIRECT, Scene
from tests.support.fake_idp import ABSENT, FakeIdp
from tests.support.policies import RESOURCE_URL

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logged")]


class Opaque:
    """Tokens of which nothing is known but their holder."""

    def __init__(self, **claims: Any) -> None:
        self.found = {"sub": "alice", **claims}

    async def claims(self, token: bytes, now: float) -> dict[str, Any]:
        return self.found


async def test_sealed_access_token_speaks_for_the_user_at_this_resource(scene: Scene) -> None:
    scene.idp.access_claims = {"roles": ["admin"], "name": "of the access token"}
    scene.idp.id_claims = {"email": "alice@example.com"}
    evidence = await scene.read((await scene.log_in())["access_token"])
    claims = evidence.claims
    assert (claims["sub"], claims["aud"], claims["client_id"]) == ("alice", RESOURCE_URL, fingerprint(scene.client_id))
    assert (claims["iss"], claims["exp"], evidence.scopes) == (scene.idp.issuer, NOW + 3600, frozenset({"mcp:read"}))
    assert (claims["roles"], claims["email"], claims["name"]) == (
        ["admin"],
        "alice@example.com",
        "of the access token",
    )
    assert not {"nonce", "jti", "scp", "azp"} & set(claims)
    assert evidence.upstream_token == b""


@pytest.mark.parametrize(
    ("members", "expires_in"),
    [
        pytest.param({"expires_in": None}, 600, id="null"),
        pytest.param({"expires_in": ABSENT}, 600, id="absent"),
        pytest.param({"expires_in": "300"}, 300, id="text"),
        pytest.param({"expires_in": 299.7}, 299, id="fraction"),
        pytest.param({"expires_in": 0}, 600, id="zero"),
        pytest.param({"expires_in": -1}, 600, id="negative"),
        pytest.param({"expires_in": "soon"}, 600, id="nonsense"),
        pytest.param({"expires_in": True}, 600, id="bool"),
        pytest.param({"expires_in": 1e300}, 600, id="for ever"),
        pytest.param({"token_type": ABSENT}, 600, id="no token_type"),
        pytest.param({"token_type": "bearer"}, 600, id="lower case"),
    ],
)
async def test_life_is_what_the_identity_provider_says_within_the_policys_bound(
    make_scene: SceneMaker, idp: FakeIdp, members: dict[str, Any], expires_in: int
) -> None:
    scene = make_scene(proxy={"access_token_ttl_s": 600}, tokens=Opaque())
    idp.answer_members = members
    assert (await scene.log_in())["expires_in"] == expires_in


async def test_exp_of_the_access_token_bounds_ours(scene: Scene) -> None:
    scene.idp.access_claims = {"exp": int(NOW) + 90}
    document = await scene.log_in()
    assert document["expires_in"] == 90
    assert (await scene.read(document["access_token"])).trusted_until == NOW + 90


async def test_login_without_a_refresh_token_gives_none(scene: Scene) -> None:
    scene.idp.gives_refresh_token = False
    assert "refresh_token" not in await scene.log_in()


async def test_scopes_are_those_asked_for_that_the_identity_provider_granted(make_scene: SceneMaker) -> None:
    scene = make_scene(upstream={"scope_prefix": "api://postern/"})
    scene.idp.answer_members = {"scope": "api://postern/mcp:write,openid,api://postern/mcp:admin"}
    answer = await scene.ask(scene.code_form(scene.code(scopes=("mcp:read", "mcp:write"))))
    assert body_of(answer)["scope"] == "mcp:write"


async def test_scopes_that_are_not_stated_are_those_asked_for(scene: Scene) -> None:
    scene.idp.answer_members = {"scope": ABSENT}
    answer = await scene.ask(scene.code_form(scene.code(scopes=("mcp:read", "mcp:write"))))
    assert body_of(answer)["scope"] == "mcp:read mcp:write"


async def test_scopes_that_nobody_asked_for_are_not_given(scene: Scene) -> None:
    assert "scope" not in body_of(await scene.ask(scene.code_form(scene.code(scopes=()))))


async def test_policy_without_scopes_hands_on_those_of_the_identity_provider(make_scene: SceneMaker) -> None:
    scene = make_scene(verification={"supported_scopes": ()})
    assert body_of(await scene.ask(scene.code_form(scene.code(scopes=()))))["scope"] == "openid mcp:read"


async def test_upstream_token_travels_inside_only_when_the_policy_forwards_it(make_scene: SceneMaker) -> None:
    scene = make_scene(forward={"access_token": "Upstream"})
    evidence = await scene.read((await scene.log_in())["access_token"])
    assert evidence.upstream_token.decode() in scene.idp.state.access_tokens


async def test_upstream_token_that_would_not_fit_is_a_fault(
    make_scene: SceneMaker, logged: list[dict[str, Any]]
) -> None:
    scene = make_scene(forward={"access_token": "Upstream"})
    scene.idp.access_claims = {"groups": ["g" * 36] * 250}
    answer = await scene.ask(scene.code_form())
    assert (answer.status, body_of(answer)["error"]) == (500, "server_error")
    assert "forward.accessToken" in logged[-1]["cause"]


async def test_claims_beyond_the_bound_are_those_that_the_policy_names(
    make_scene: SceneMaker, logged: list[dict[str, Any]]
) -> None:
    scene = make_scene(forward={"claims": (HeaderClaim("realm.tier", "X-Tier"), HeaderClaim("huge", "X-Huge"))})
    scene.idp.access_claims = {"noise": "n" * 4000, "realm": {"tier": "gold"}, "huge": "h" * 4000, "roles": ["r"]}
    document = await scene.log_in()
    claims = (await scene.read(document["access_token"])).claims
    assert (claims["sub"], claims["realm.tier"], claims["roles"]) == ("alice", "gold", ["r"])
    assert not {"noise", "huge"} & set(claims)
    assert {"event": "claims are too long and left out", "names": ["huge"], "log_level": "warning"} in logged


async def test_configured_client_keeps_its_name_in_the_token(make_scene: SceneMaker) -> None:
    scene = make_scene(proxy={"clients": (ClientConfig("desktop", "Desktop", (CLIENT_REDIRECT,)),)})
    code = scene.code(client=fingerprint("desktop"))
    document = body_of(await scene.ask(scene.code_form(code, client_id="desktop")))
    assert (await scene.read(document["access_token"])).claims["client_id"] == "desktop"


async def test_passthrough_hands_out_the_identity_providers_token(make_scene: SceneMaker) -> None:
    scene = make_scene(proxy={"token_mode": "Passthrough"})
    document = await scene.log_in()
    assert document["access_token"] in scene.idp.state.access_tokens
    assert document["expires_in"] == 3600
    assert document["refresh_token"] not in scene.idp.state.refresh_tokens


async def test_passthrough_of_a_token_without_an_end_states_none(make_scene: SceneMaker) -> None:
    scene = make_scene(proxy={"token_mode": "Passthrough"}, tokens=Opaque())
    scene.idp.answer_members = {"expires_in": ABSENT}
    assert "expires_in" not in await scene.log_in()


async def test_missing_subject_is_a_fault(make_scene: SceneMaker) -> None:
    scene = make_scene(upstream={"openid": False, "scopes": ()}, tokens=Opaque(sub=""))
    assert body_of(await scene.ask(scene.code_form()))["error"] == "server_error"


async def test_subject_may_come_from_the_claim_table(make_scene: SceneMaker) -> None:
    scene = make_scene(upstream={"openid": False, "scopes": ()}, tokens=Opaque(sub="", id=583231))
    evidence = await scene.read((await scene.log_in())["access_token"])
    assert (evidence.claims["sub"], evidence.claims["id"]) == ("583231", 583231)
