import json
from typing import Any

import pytest

from postern_sidecar.facade.artefacts import Registration, Transaction, fingerprint, seal_as
from postern_sidecar.facade.token_endpoint import token
from postern_sidecar.sealing import Seals, upstream_name
from tests.sidecar.facade.building import NOW, body_of, header_of, make_request, make_ring
from tests.sidecar.facade.conftest import SceneMaker
from tests.sidecar.facade.scene import CLIENT_REDIRECT, VERIFIER, Scene, challenge_of
from tests.support.fake_idp import ABSENT, TOKEN_PATH, FakeIdp
from tests.support.fake_issuer import Behaviour
from tests.support.policies import RESOURCE_URL

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logged")]

ISSUER = "https://mcp.example.com"


def seals_of(scene: Scene, *, issuer: str = ISSUER, ring: str = "ring-1", upstream: str | None = None) -> Seals:
    """Seals that differ from those of the scene in what is stated."""
    own = upstream_name(scene.context.config, scene.context.proxy)
    return Seals(make_ring(ring), issuer, own if upstream is None else upstream)


async def test_code_becomes_tokens_that_nobody_stores(scene: Scene) -> None:
    answer = await scene.ask(scene.code_form())
    document = body_of(answer)
    assert (answer.status, document["token_type"], document["expires_in"]) == (200, "Bearer", 3600)
    assert document["scope"] == "mcp:read"
    assert (header_of(answer, "cache-control"), header_of(answer, "pragma")) == ("no-store", "no-cache")
    assert header_of(answer, "content-type") == "application/json"
    assert (answer.event, answer.client_id, answer.subject) == ("issued", scene.client_id, "alice")


async def test_identity_provider_is_asked_with_our_own_credentials_and_verifier(scene: Scene) -> None:
    content = scene.code_content()
    await scene.ask(scene.code_form(seal_as(scene.context.seals, content, NOW)))
    (call,) = scene.idp.calls_to(TOKEN_PATH)
    assert call.form == {
        "grant_type": "authorization_code",
        "code": content.upstream_code,
        "redirect_uri": "https://mcp.example.com/oauth/callback",
        "code_verifier": content.verifier,
    }


@pytest.mark.parametrize(
    "grant_type",
    [
        "client_credentials",
        "password",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "implicit",
        "",
        None,
        "AUTHORIZATION_CODE",
    ],
)
async def test_other_grant_types_are_refused_before_anything_is_asked(scene: Scene, grant_type: str | None) -> None:
    answer = await scene.ask(scene.code_form(grant_type=grant_type, username="a", password="b"))
    assert (answer.status, body_of(answer)["error"]) == (400, "unsupported_grant_type")
    assert scene.idp.calls == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"code_verifier": VERIFIER + "x"}, "invalid_grant", id="verifier of another"),
        pytest.param({"code_verifier": None}, "invalid_request", id="no verifier"),
        pytest.param({"code_verifier": ""}, "invalid_request", id="empty verifier"),
        pytest.param({"code_verifier": challenge_of(VERIFIER)}, "invalid_grant", id="plain"),
        pytest.param({"code_verifier": "short"}, "invalid_grant", id="short verifier"),
        pytest.param({"code_verifier": VERIFIER + "ü"}, "invalid_grant", id="verifier not of ASCII"),
        pytest.param({"code_verifier": "x" * 129}, "invalid_grant", id="long verifier"),
        pytest.param({"redirect_uri": "http://127.0.0.1:4568/callback"}, "invalid_grant", id="redirect_uri swapped"),
        pytest.param({"redirect_uri": CLIENT_REDIRECT + "/"}, "invalid_grant", id="redirect_uri with slash"),
        pytest.param({"resource": "https://other.example.com/mcp"}, "invalid_target", id="resource of another"),
        pytest.param({"code": None}, "invalid_request", id="no code"),
        pytest.param({"code": "x"}, "invalid_grant", id="no code of ours"),
        pytest.param({"code": "x" * 20_000}, "invalid_grant", id="huge code"),
        pytest.param({"code": "é.é.é"}, "invalid_grant", id="code not of ASCII"),
    ],
)
async def test_wrong_request_is_refused_before_anything_is_asked(
    scene: Scene, changes: dict[str, str | None], error: str
) -> None:
    answer = await scene.ask(scene.code_form(**changes))
    assert (answer.status, body_of(answer)["error"]) == (400, error)
    assert scene.idp.calls == []


async def test_challenge_that_is_the_plain_verifier_is_never_met(scene: Scene) -> None:
    answer = await scene.ask(scene.code_form(scene.code(challenge=VERIFIER)))
    assert body_of(answer)["error"] == "invalid_grant"
    assert scene.idp.calls == []


async def test_redirect_uri_and_resource_may_be_left_out(scene: Scene) -> None:
    assert (await scene.ask(scene.code_form(redirect_uri=None, resource=None))).status == 200


@pytest.mark.parametrize("age", [59, 60])
async def test_code_is_good_for_a_minute(scene: Scene, age: int) -> None:
    form = scene.code_form()
    answer = await scene.ask(form, now=NOW + age)
    assert answer.status == (200 if age < 60 else 400)
    assert answer.event == ("issued" if age < 60 else "invalid_grant")


async def test_code_of_another_client_is_refused(scene: Scene) -> None:
    answer = await scene.ask(scene.code_form(client_id=scene.another_client()))
    assert body_of(answer)["error"] == "invalid_grant"
    assert scene.idp.calls == []


async def test_code_of_another_issuer_ring_or_purpose_is_refused(scene: Scene) -> None:
    content = scene.code_content()
    foreign = [
        seal_as(seals_of(scene, issuer="https://other.example.com"), content, NOW),
        seal_as(seals_of(scene, ring="ring-2"), content, NOW),
        seal_as(seals_of(scene, upstream="https://other-idp.example.com postern-client"), content, NOW),
        scene.client_id,
        seal_as(scene.context.seals, transaction(scene), NOW),
        (await scene.log_in())["refresh_token"],
        (await scene.log_in())["access_token"],
    ]
    before = len(scene.idp.calls)
    for code in foreign:
        assert body_of(await scene.ask(scene.code_form(code)))["error"] == "invalid_grant"
    assert len(scene.idp.calls) == before


def transaction(scene: Scene) -> Transaction:
    return Transaction(
        client=fingerprint(scene.client_id),
        redirect_uri=CLIENT_REDIRECT,
        challenge=challenge_of(VERIFIER),
        scopes=("mcp:read",),
        resource=RESOURCE_URL,
        expires_at=int(NOW) + 60,
        upstream_state="s",
        verifier=VERIFIER,
        nonce="n",
    )


async def test_code_is_good_once(scene: Scene) -> None:
    form = scene.code_form()
    assert (await scene.ask(form)).status == 200
    answer = await scene.ask(form)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")


async def test_code_with_another_logins_upstream_code_is_refused_by_the_nonce(scene: Scene) -> None:
    answer = await scene.ask(scene.code_form(scene.code(nonce="of another login")))
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_grant")


async def test_unknown_client_is_told_to_register_again(scene: Scene) -> None:
    answer = await scene.ask(scene.code_form(client_id="unknown"))
    assert (answer.status, body_of(answer)["error"], answer.client_id) == (401, "invalid_client", "")
    assert scene.idp.calls == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
async def test_other_methods_are_not_allowed(scene: Scene, method: str) -> None:
    answer = await token(make_request(method, query=scene.code_form()), scene.context)
    assert (answer.status, header_of(answer, "allow")) == (405, "POST, OPTIONS")
    assert scene.idp.calls == []


async def test_json_body_is_refused(scene: Scene) -> None:
    answer = await token(make_request("POST", json=scene.code_form()), scene.context)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_request")


async def test_parameters_in_the_query_do_not_count(scene: Scene) -> None:
    answer = await token(make_request("POST", query=scene.code_form(), form={}), scene.context)
    assert answer.status in (400, 401)
    assert scene.idp.calls == []


@pytest.mark.parametrize("name", ["code", "grant_type", "client_id", "code_verifier", "redirect_uri"])
async def test_parameter_that_is_given_twice_is_refused(scene: Scene, name: str) -> None:
    form = scene.code_form()
    pairs = [*form.items(), (name, form[name])]
    answer = await token(make_request("POST", form=pairs), scene.context)
    assert (answer.status, body_of(answer)["error"]) == (400, "invalid_request")
    assert scene.idp.calls == []


async def test_client_without_the_grant_type_is_unauthorized_and_gets_no_refresh_token(scene: Scene) -> None:
    registration = Registration((CLIENT_REDIRECT,), "none", int(NOW), grant_types=("authorization_code",))
    client_id = seal_as(scene.context.seals, registration, NOW)
    code = scene.code(client=fingerprint(client_id))
    assert "refresh_token" not in body_of(await scene.ask(scene.code_form(code, client_id=client_id)))
    answer = await scene.refresh("x", client_id=client_id)
    assert body_of(answer)["error"] == "unauthorized_client"


async def test_refresh_that_the_policy_forbids_is_unsupported(make_scene: SceneMaker) -> None:
    scene = make_scene(proxy={"grant_types": ("authorization_code",)})
    assert "refresh_token" not in await scene.log_in()
    assert body_of(await scene.refresh("x"))["error"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.ERROR,
        Behaviour.TOO_MANY,
        Behaviour.HTML,
        Behaviour.NOT_JSON,
        Behaviour.HANG,
        Behaviour.SLOW,
        Behaviour.HUGE,
        Behaviour.COMPRESSED,
        Behaviour.REDIRECT_AWAY,
        Behaviour.REDIRECT_HERE,
        Behaviour.NOT_FOUND,
    ],
)
async def test_outage_at_the_identity_provider_is_unavailable(scene: Scene, behaviour: Behaviour) -> None:
    scene.idp.behaviours[TOKEN_PATH] = behaviour
    answer = await scene.ask(scene.code_form())
    assert (answer.status, body_of(answer)["error"]) == (503, "temporarily_unavailable")
    assert header_of(answer, "retry-after") == "5"


async def test_identity_provider_that_is_gone_is_unavailable(scene: Scene) -> None:
    form = scene.code_form()
    scene.idp.close()
    assert (await scene.ask(form)).status == 503


async def test_code_is_not_used_up_while_the_keys_are_unavailable(scene: Scene) -> None:
    scene.idp.behaviours["/jwks"] = Behaviour.ERROR
    assert (await scene.ask(scene.code_form())).status == 503
    assert scene.idp.calls_to(TOKEN_PATH) == []


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"access_token": ABSENT}, id="none"),
        pytest.param({"access_token": ""}, id="empty"),
        pytest.param({"access_token": 7}, id="number"),
        pytest.param({"access_token": "a\nb"}, id="line break"),
        pytest.param({"access_token": "a" * 20_000}, id="huge"),
        pytest.param({"token_type": "DPoP"}, id="of another type"),
        pytest.param({"id_token": ABSENT}, id="no ID token"),
        pytest.param({"id_token": "x.y.z"}, id="no JWT"),
        pytest.param({"access_token": "opaque"}, id="not for us"),
    ],
)
async def test_unusable_answer_is_a_fault_that_the_log_explains(
    scene: Scene, members: dict[str, Any], logged: list[dict[str, Any]]
) -> None:
    scene.idp.answer_members = members
    answer = await scene.ask(scene.code_form())
    assert (answer.status, body_of(answer)["error"]) == (500, "server_error")
    assert logged[-1]["event"] == "request refused"
    assert logged[-1]["cause"]


async def test_access_token_for_another_audience_is_refused(scene: Scene, logged: list[dict[str, Any]]) -> None:
    scene.idp.audience = "https://other.example.com"
    assert body_of(await scene.ask(scene.code_form()))["error"] == "server_error"
    assert "wrong_audience" in logged[-1]["cause"]


async def test_form_encoded_answers_are_read(make_scene: SceneMaker, idp: FakeIdp) -> None:
    idp.form_encoded = True
    assert (await make_scene().log_in())["scope"] == "mcp:read"


@pytest.mark.parametrize("content_type", ["text/plain", "text/javascript; charset=utf-8", "application/vnd.x+json"])
async def test_json_is_read_under_any_content_type(scene: Scene, content_type: str) -> None:
    scene.idp.content_type = content_type
    assert (await scene.log_in())["expires_in"] == 3600


async def test_json_in_disguise_of_a_form_is_unavailable(scene: Scene) -> None:
    scene.idp.content_type = "application/x-www-form-urlencoded"
    assert (await scene.ask(scene.code_form())).status in (500, 503)


async def test_github_like_errors_under_200_are_errors(scene: Scene) -> None:
    scene.idp.errors_under_200 = True
    form = scene.code_form()
    assert (await scene.ask(form)).status == 200
    assert body_of(await scene.ask(form))["error"] == "invalid_grant"


async def test_texts_of_the_identity_provider_reach_the_log_alone_and_without_secrets(
    scene: Scene, logged: list[dict[str, Any]]
) -> None:
    form = scene.code_form()
    await scene.ask(form)
    scene.idp.error_description = "AADSTS54005: {code} was redeemed with {code_verifier}" + "!" * 1000
    answer = await scene.ask(form)
    assert b"AADSTS" not in answer.body
    assert "AADSTS54005: [redacted] was redeemed with [redacted]!" in logged[-1]["cause"]
    assert len(logged[-1]["cause"]) <= 300


async def test_scope_and_resource_go_to_the_identity_provider_where_it_wants_them(
    make_scene: SceneMaker, idp: FakeIdp
) -> None:
    scene = make_scene(upstream={"exchange_scope": True, "sends_resource": True, "scope_prefix": "api://p/"})
    idp.accepted = {"scope", "resource"}
    idp.answer_members = {"scope": ABSENT}
    document = await scene.log_in()
    await scene.refresh(document["refresh_token"])
    for call in idp.calls_to(TOKEN_PATH):
        assert (call.form["scope"], call.form["resource"]) == ("openid api://p/mcp:read offline_access", RESOURCE_URL)


async def test_answers_are_json_whatever_happens(scene: Scene) -> None:
    for form in ({}, {"grant_type": "x"}, scene.code_form(code="x"), scene.code_form(client_id="x")):
        answer = await scene.ask(form)
        assert set(json.loads(answer.body)) == {"error", "error_description"}
        assert header_of(answer, "cache-control") == "no-store"
        assert header_of(answer, "access-control-allow-origin") == "*"


async def test_refresh_of_a_login_that_lacks_a_required_scope_ends_it(make_scene: SceneMaker, idp: FakeIdp) -> None:
    before = make_scene()
    refresh_token = (await before.log_in())["refresh_token"]
    after = make_scene(verification={"required_scopes": ("mcp:read", "mcp:write")})
    seen = len(idp.calls_to(TOKEN_PATH))

    answer = await after.ask(before.refresh_form(refresh_token))

    assert body_of(answer)["error"] == "invalid_grant"
    assert len(idp.calls_to(TOKEN_PATH)) == seen


async def test_offline_access_is_no_scope_of_the_token(scene: Scene, idp: FakeIdp) -> None:
    idp.answer_members = {"scope": "mcp:read offline_access"}

    answer = await scene.ask(scene.code_form(scene.code(scopes=("mcp:read", "offline_access"))))

    assert body_of(answer)["scope"] == "mcp:read"
