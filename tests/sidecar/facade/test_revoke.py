from typing import Any

import pytest

from postern_sidecar.facade.artefacts import Registration, seal_as
from postern_sidecar.facade.revoke import revoke
from postern_sidecar.outcome import Invalid, Reason, Unavailable
from postern_sidecar.sealing import Purpose
from tests.sidecar.facade.building import NOW, basic, body_of, header_of, make_request
from tests.sidecar.facade.conftest import SceneMaker
from tests.sidecar.facade.scene import CLIENT_REDIRECT, Scene
from tests.support.fake_idp import REVOCATION_PATH, FakeIdp
from tests.support.fake_issuer import Behaviour

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logged")]


async def test_public_client_ends_its_login_at_the_identity_provider(scene: Scene) -> None:
    refresh_token = (await scene.log_in())["refresh_token"]
    answer = await scene.revoke(token=refresh_token, token_type_hint="refresh_token")
    assert (answer.status, body_of(answer), answer.event, answer.subject) == (200, {}, "revoked", "alice")
    assert body_of(await scene.refresh(refresh_token))["error"] == "invalid_grant"


async def test_identity_provider_gets_its_own_token_with_our_credentials(scene: Scene) -> None:
    refresh_token = (await scene.log_in())["refresh_token"]
    upstream_token = scene.grant_of(refresh_token).upstream_token
    await scene.revoke(token=refresh_token)
    (call,) = scene.idp.calls_to(REVOCATION_PATH)
    assert call.form == {"token": upstream_token, "token_type_hint": "refresh_token"}
    assert call.headers["authorization"].startswith("Basic ")


async def test_confidential_client_revokes_with_its_secret_alone(scene: Scene) -> None:
    registration = Registration((CLIENT_REDIRECT,), "client_secret_basic", int(NOW))
    client_id = seal_as(scene.context.seals, registration, NOW)
    secret = scene.context.seals.mac(Purpose.REGISTRATION, client_id) or ""
    for password, status in ((secret, 200), (secret + "x", 401)):
        request = make_request("POST", form={"token": "unknown"}, headers=basic(client_id, password))
        assert (await revoke(request, scene.context)).status == status


async def test_replay_of_a_refresh_ends_with_the_revocation(scene: Scene) -> None:
    first = (await scene.log_in())["refresh_token"]
    second = body_of(await scene.refresh(first))["refresh_token"]
    await scene.revoke(token=second)
    assert body_of(await scene.refresh(first))["error"] == "invalid_grant"


@pytest.mark.parametrize("token", ["unknown", "a.b.c.d.e", "x" * 20_000, "é"])
async def test_unknown_token_is_no_fault_and_asks_nobody(scene: Scene, token: str) -> None:
    assert (await scene.revoke(token=token)).status == 200
    assert scene.idp.calls == []


async def test_sealed_access_token_is_accepted_and_asks_nobody(scene: Scene) -> None:
    answer = await scene.revoke(token=(await scene.log_in())["access_token"])
    assert (answer.status, answer.subject) == (200, "alice")
    assert scene.idp.calls_to(REVOCATION_PATH) == []


async def test_upstream_token_inside_an_access_token_is_revoked(make_scene: SceneMaker, idp: FakeIdp) -> None:
    scene = make_scene(forward={"access_token": "Upstream"})
    access_token = (await scene.log_in())["access_token"]
    assert (await scene.revoke(token=access_token)).status == 200
    assert idp.state.access_tokens == {}


async def test_passthrough_access_token_is_revoked_at_the_identity_provider(
    make_scene: SceneMaker, idp: FakeIdp
) -> None:
    scene = make_scene(proxy={"token_mode": "Passthrough"})
    access_token = (await scene.log_in())["access_token"]
    assert (await scene.revoke(token=access_token)).status == 200
    assert idp.state.access_tokens == {}
    assert idp.calls_to(REVOCATION_PATH)[0].form["token_type_hint"] == "access_token"


class Answering:
    """Says the same of every access token."""

    def __init__(self, answer: Invalid | Unavailable) -> None:
        self.answer = answer

    async def claims(self, token: bytes, now: float) -> Invalid | Unavailable:
        return self.answer


@pytest.mark.parametrize(
    ("answer", "status"),
    [(Invalid(Reason.BAD_SIGNATURE), 200), (Unavailable(Reason.KEYS_UNAVAILABLE), 503)],
)
async def test_passthrough_sends_on_no_token_but_those_for_us(
    make_scene: SceneMaker, idp: FakeIdp, answer: Any, status: int
) -> None:
    scene = make_scene(proxy={"token_mode": "Passthrough"}, tokens=Answering(answer))
    assert (await scene.revoke(token="stolen elsewhere")).status == status
    assert idp.calls == []


async def test_tokens_of_another_client_are_refused_and_stay(scene: Scene) -> None:
    document = await scene.log_in()
    for name in ("refresh_token", "access_token"):
        answer = await scene.revoke(token=document[name], client_id=scene.another_client())
        assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")
    assert (await scene.refresh(document["refresh_token"])).status == 200


@pytest.mark.parametrize("behaviour", [Behaviour.ERROR, Behaviour.TOO_MANY, Behaviour.HANG, Behaviour.NOT_FOUND])
async def test_outage_is_told_and_the_token_lives_on(scene: Scene, behaviour: Behaviour) -> None:
    refresh_token = (await scene.log_in())["refresh_token"]
    scene.idp.behaviours[REVOCATION_PATH] = behaviour
    answer = await scene.revoke(token=refresh_token)
    assert (answer.status, header_of(answer, "retry-after")) == (503, "5")
    assert (await scene.refresh(refresh_token)).status == 200


async def test_identity_provider_without_revocation_is_no_fault(scene: Scene) -> None:
    del scene.idp.metadata["revocation_endpoint"]
    assert (await scene.revoke(token=(await scene.log_in())["refresh_token"])).status == 200


async def test_refused_credentials_are_our_fault(scene: Scene, logged: list[dict[str, Any]]) -> None:
    refresh_token = (await scene.log_in())["refresh_token"]
    scene.idp.client.secret = "another"
    assert (await scene.revoke(token=refresh_token)).status == 500
    assert any(line["event"] == "client_rejected" for line in logged)


async def test_missing_token_unknown_client_and_other_methods_are_refused(scene: Scene) -> None:
    assert body_of(await scene.revoke())["error"] == "invalid_request"
    assert (await scene.revoke(token="x", client_id="unknown")).status == 401
    answer = await revoke(make_request("GET", query={"token": "x"}), scene.context)
    assert (answer.status, header_of(answer, "allow")) == (405, "POST, OPTIONS")
