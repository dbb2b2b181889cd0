from typing import Any

import pytest

from postern_crds.sidecar_config import EndpointsConfig
from postern_sidecar.facade.exchange import REJECTED_S
from postern_sidecar.facade.upstream_answers import Refusal, RefusalKind, read_tokens
from postern_sidecar.idp.client import Answer
from tests.sidecar.facade.building import NOW, body_of
from tests.sidecar.facade.conftest import SceneMaker
from tests.sidecar.facade.scene import Scene
from tests.support.fake_idp import TOKEN_PATH, FakeIdp

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logged")]


@pytest.mark.parametrize("auth_method", ["client_secret_basic", "client_secret_post", "none"])
async def test_client_authenticates_exactly_as_configured(
    make_scene: SceneMaker, idp: FakeIdp, auth_method: str
) -> None:
    idp.client.auth_method = auth_method
    assert (await make_scene().log_in())["scope"] == "mcp:read"


@pytest.mark.parametrize(
    ("configured", "wanted"),
    [("client_secret_post", "client_secret_basic"), ("client_secret_basic", "client_secret_post")],
)
async def test_wrong_method_is_refused_by_the_identity_provider(
    make_scene: SceneMaker, idp: FakeIdp, configured: str, wanted: str
) -> None:
    idp.client.auth_method = wanted
    scene = make_scene(upstream={"auth_method": configured})
    assert body_of(await scene.ask(scene.code_form()))["error"] == "server_error"


@pytest.mark.parametrize("secret", ["a:b", "50%25", "a+b c", "ü€", "~*'()", "=="])
async def test_basic_carries_any_secret(make_scene: SceneMaker, idp: FakeIdp, secret: str) -> None:
    idp.client.secret = secret
    assert (await make_scene().log_in())["scope"] == "mcp:read"


async def test_rejected_client_is_told_to_the_administrator_alone(
    make_scene: SceneMaker, idp: FakeIdp, logged: list[dict[str, Any]]
) -> None:
    scene = make_scene(secret="wrong-secret-of-ours")
    idp.error_description = "AADSTS7000215: Invalid client secret"
    answer = await scene.ask(scene.code_form())
    assert (answer.status, body_of(answer)["error"]) == (500, "server_error")
    assert b"AADSTS" not in answer.body
    line = next(line for line in logged if line["event"] == "client_rejected")
    assert (line["log_level"], line["file"], line["field"], line["client_id"]) == (
        "error",
        "client-secret",
        "spec.proxy.client.secretRef",
        "postern-client",
    )
    assert "AADSTS7000215" in line["cause"]
    assert "wrong-secret-of-ours" not in str(logged)


@pytest.mark.parametrize("error", ["invalid_client", "incorrect_client_credentials"])
async def test_rejection_is_remembered_for_a_minute_or_until_a_success(scene: Scene, error: str) -> None:
    exchange, form = scene.context.exchange, scene.code_form()
    assert (exchange.rejected_recently(NOW), exchange.client_state()) == (False, "ready")
    scene.idp.answer_members = {"error": error}
    assert (await scene.ask(form)).status == 500
    assert (exchange.rejected_recently(NOW), exchange.client_state()) == (True, "secret_rejected")
    assert exchange.rejected_recently(NOW + REJECTED_S - 1)
    assert (exchange.rejected_recently(NOW + REJECTED_S), exchange.client_state()) == (False, "secret_rejected")
    scene.idp.answer_members = {}
    await scene.log_in()
    assert exchange.client_state() == "ready"


async def test_refusal_at_the_revocation_endpoint_closes_no_login(scene: Scene) -> None:
    refresh_token = (await scene.log_in())["refresh_token"]
    secret, scene.idp.client.secret = scene.idp.client.secret, "of the revocation endpoint alone"
    assert (await scene.revoke(token=refresh_token)).status == 500
    assert scene.context.exchange.client_state() == "ready"
    scene.idp.client.secret = secret
    assert (await scene.revoke(token=refresh_token)).status == 200


async def test_answer_401_without_a_word_is_a_rejection(scene: Scene) -> None:
    result = read_tokens(Answer("https://idp", 401, b"<html>", "text/html"), NOW)
    assert isinstance(result, Refusal)
    assert result.kind is RefusalKind.CLIENT


async def test_missing_secret_is_named_and_nothing_is_sent(
    make_scene: SceneMaker, idp: FakeIdp, logged: list[dict[str, Any]]
) -> None:
    scene = make_scene(secret=None)
    assert scene.context.exchange.client_state() == "secret_missing"
    assert (await scene.ask(scene.code_form())).status == 503
    assert idp.calls_to(TOKEN_PATH) == []
    line = next(line for line in logged if line["event"] == "client_secret_missing")
    assert (line["file"], line["field"]) == ("client-secret", "spec.proxy.client.secretRef")


async def test_public_client_needs_no_secret(make_scene: SceneMaker, idp: FakeIdp) -> None:
    idp.client.auth_method = "none"
    scene = make_scene(secret=None)
    await scene.log_in()
    assert scene.context.exchange.client_state() == "none"


async def test_endpoints_of_the_policy_come_before_the_metadata(make_scene: SceneMaker, idp: FakeIdp) -> None:
    idp.metadata |= {"token_endpoint": idp.origin + "/elsewhere"}
    endpoints = EndpointsConfig(idp.origin + "/authorization", idp.origin + TOKEN_PATH, None, None, None)
    assert (await make_scene(issuer={"endpoints": endpoints}).log_in())["scope"] == "mcp:read"


async def test_metadata_without_a_token_endpoint_is_unavailable(
    scene: Scene, idp: FakeIdp, logged: list[dict[str, Any]]
) -> None:
    idp.metadata |= {"token_endpoint": None}
    assert (await scene.ask(scene.code_form())).status == 503
    assert "token_endpoint" in logged[-1]["cause"]


@pytest.mark.parametrize(
    ("error", "status", "ours"),
    [
        ("invalid_grant", 400, "invalid_grant"),
        ("bad_verification_code", 400, "invalid_grant"),
        ("bad_refresh_token", 400, "invalid_grant"),
        ("interaction_required", 400, "invalid_grant"),
        ("invalid_scope", 500, "server_error"),
        ("redirect_uri_mismatch", 500, "server_error"),
        ("invalid_request", 500, "server_error"),
        ("unheard_of", 500, "server_error"),
        ("temporarily_unavailable", 503, "temporarily_unavailable"),
        ("slow_down", 503, "temporarily_unavailable"),
    ],
)
async def test_errors_of_the_identity_provider_have_one_meaning_each(
    scene: Scene, error: str, status: int, ours: str
) -> None:
    scene.idp.answer_members = {"error": error, "error_description": "<b>secret words</b>"}
    answer = await scene.ask(scene.code_form())
    assert (answer.status, body_of(answer)["error"]) == (status, ours)
    assert b"secret words" not in answer.body
    assert scene.context.exchange.client_state() == "ready"


@pytest.mark.parametrize(
    ("status", "content_type", "body", "kind"),
    [
        (500, "application/json", b'{"error":"invalid_grant"}', RefusalKind.OUTAGE),
        (429, "application/json", b'{"error":"invalid_client"}', RefusalKind.OUTAGE),
        (403, "text/html", b"<html>", RefusalKind.OUTAGE),
        (302, "", b"", RefusalKind.OUTAGE),
        (204, "", b"", RefusalKind.OUTAGE),
        (200, "", b"", RefusalKind.OUTAGE),
        (200, "application/json", b"[]", RefusalKind.OUTAGE),
        (200, "application/json", b'{"access_token":"a","access_token":"b"}', RefusalKind.OUTAGE),
        (200, "application/json", b"{}", RefusalKind.OTHER),
        (200, "application/json", b'{"error":7,"access_token":null}', RefusalKind.OTHER),
        (200, "application/x-www-form-urlencoded", b"error=bad_verification_code", RefusalKind.GRANT),
        (200, "application/x-www-form-urlencoded", b"\xff", RefusalKind.OUTAGE),
    ],
)
def test_answers_that_are_none(status: int, content_type: str, body: bytes, kind: RefusalKind) -> None:
    result = read_tokens(Answer("https://idp.example.com/token", status, body, content_type), NOW)
    assert isinstance(result, Refusal)
    assert result.kind is kind
