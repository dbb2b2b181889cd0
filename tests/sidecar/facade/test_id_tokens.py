import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.id_tokens import read_id_token
from tests.sidecar.facade.building import NOW
from tests.sidecar.facade.conftest import SceneMaker
from tests.sidecar.facade.scene import Scene
from tests.support.fake_idp import FakeIdp
from tests.support.fake_issuer import Behaviour
from tests.support.tokens import SigningPair, encode, issue, make_pair

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("logged")]

NONCE = "n-1"


def claims_of(idp: FakeIdp, **changes: Any) -> dict[str, Any]:
    claims = {
        "iss": idp.issuer,
        "aud": "postern-client",
        "sub": "alice",
        "iat": int(NOW),
        "exp": int(NOW) + 300,
        "nonce": NONCE,
        "at_hash": "x",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


async def refusal_of(scene: Scene, token: str, *, nonce: str | None = NONCE) -> OAuthFault:
    """The fault that a token meets."""
    with pytest.raises(OAuthFault) as caught:
        await read_id_token(token, scene.context, nonce=nonce, now=NOW)
    return caught.value


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="plain"),
        pytest.param({"aud": ["postern-client"]}, id="audience in an array"),
        pytest.param({"aud": ["postern-client", "other"], "azp": "postern-client"}, id="several audiences"),
        pytest.param({"azp": "postern-client"}, id="azp"),
        pytest.param({"typ": "ID"}, id="Keycloak's claim typ"),
        pytest.param({"token_use": "id"}, id="Cognito's claim token_use"),
        pytest.param({"exp": int(NOW) - 29}, id="within the leeway"),
    ],
)
async def test_good_token_gives_its_claims(scene: Scene, changes: dict[str, Any]) -> None:
    claims = claims_of(scene.idp, **changes)
    token = issue(scene.idp.pair, claims, typ="JWT")
    assert await read_id_token(token, scene.context, nonce=NONCE, now=NOW) == claims


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        pytest.param({"iss": "https://other.example.com"}, "wrong_issuer", id="issuer of another"),
        pytest.param({"iss": None}, "wrong_issuer", id="no issuer"),
        pytest.param({"iss": ["x"]}, "wrong_issuer", id="issuer in an array"),
        pytest.param({"aud": "another-client"}, "wrong_audience", id="audience of another"),
        pytest.param({"aud": None}, "wrong_audience", id="no audience"),
        pytest.param({"aud": []}, "wrong_audience", id="empty audience"),
        pytest.param({"aud": {"postern-client": 1}}, "wrong_audience", id="audience in an object"),
        pytest.param({"aud": ["postern-client", "other"]}, "azp", id="several audiences without azp"),
        pytest.param({"azp": "another-client"}, "azp", id="azp of another"),
        pytest.param({"azp": ["postern-client"]}, "bad_claims", id="azp in an array"),
        pytest.param({"exp": int(NOW) - 31}, "expired", id="expired"),
        pytest.param({"exp": None}, "bad_claims", id="no exp"),
        pytest.param({"exp": "tomorrow"}, "bad_claims", id="exp in words"),
        pytest.param({"exp": True}, "bad_claims", id="exp true"),
        pytest.param({"iat": None}, "bad_claims", id="no iat"),
        pytest.param({"iat": int(NOW) + 60}, "not_yet_valid", id="iat in the future"),
        pytest.param({"nbf": int(NOW) + 60}, "not_yet_valid", id="nbf in the future"),
        pytest.param({"sub": None}, "bad_claims", id="no sub"),
        pytest.param({"sub": ""}, "bad_claims", id="empty sub"),
        pytest.param({"sub": 7}, "bad_claims", id="sub of a number"),
    ],
)
async def test_token_with_a_wrong_claim_is_refused(scene: Scene, changes: dict[str, Any], detail: str) -> None:
    fault = await refusal_of(scene, issue(scene.idp.pair, claims_of(scene.idp, **changes), typ="JWT"))
    assert (fault.error, fault.status) == ("server_error", 500)
    assert detail in fault.detail


@pytest.mark.parametrize("nonce", [None, "", "n-2", "N-1", ["n-1"], 1])
async def test_token_of_another_login_is_refused(scene: Scene, nonce: object) -> None:
    fault = await refusal_of(scene, issue(scene.idp.pair, claims_of(scene.idp, nonce=nonce), typ="JWT"))
    assert fault.error == "invalid_grant"


async def test_nonce_is_not_looked_at_in_a_refresh(scene: Scene) -> None:
    for nonce in (None, "whatever"):
        token = issue(scene.idp.pair, claims_of(scene.idp, nonce=nonce), typ="JWT")
        assert (await read_id_token(token, scene.context, nonce=None, now=NOW))["sub"] == "alice"


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", "logout+jwt", 7])
async def test_token_of_another_type_is_refused(scene: Scene, typ: object) -> None:
    fault = await refusal_of(scene, issue(scene.idp.pair, claims_of(scene.idp), typ=typ))
    assert "refused_type" in fault.detail


async def test_unsigned_token_is_refused(scene: Scene) -> None:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims_of(scene.idp))]
    token = ".".join(map(encode, parts))
    for signature in ("", "AAAA"):
        assert (await refusal_of(scene, f"{token}.{signature}")).error == "server_error"


@pytest.mark.parametrize("kid", [None, "rsa-1"])
async def test_token_signed_with_the_clients_secret_is_refused(scene: Scene, kid: str | None) -> None:
    header = {"alg": "HS256", "typ": "JWT", **({"kid": kid} if kid else {})}
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims_of(scene.idp)).encode())}"
    digest = hmac.new(scene.idp.client.secret.encode(), signed.encode(), hashlib.sha256).digest()
    token = f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    assert "refused_algorithm" in (await refusal_of(scene, token)).detail


async def test_policy_that_allows_shared_secrets_still_gets_none(make_scene: SceneMaker, idp: FakeIdp) -> None:
    scene = make_scene(verification={"algorithms": ("HS256", "none", "RS256")})
    header = json.dumps({"alg": "HS256"}).encode()
    signed = f"{encode(header)}.{encode(json.dumps(claims_of(idp)).encode())}"
    digest = hmac.new(idp.client.secret.encode(), signed.encode(), hashlib.sha256).digest()
    assert "refused_algorithm" in (await refusal_of(scene, f"{signed}.{encode(digest)}")).detail


async def test_token_signed_with_another_key_of_that_name_is_refused(scene: Scene, other_rsa_pair: SigningPair) -> None:
    forged = issue(other_rsa_pair, claims_of(scene.idp), typ="JWT", kid=scene.idp.pair.kid)
    assert "bad_signature" in (await refusal_of(scene, forged)).detail


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c.d.e", "é.é.é", "x" * 20_000])
async def test_what_is_no_signed_token_is_refused(scene: Scene, token: str) -> None:
    assert (await refusal_of(scene, token)).error == "server_error"


async def test_key_that_was_just_published_is_found(scene: Scene) -> None:
    await scene.log_in()
    new = make_pair("es-1", "ES256")
    scene.idp.keys.append(new.jwk())
    token = issue(new, claims_of(scene.idp), typ="JWT")
    assert (await read_id_token(token, scene.context, nonce=NONCE, now=NOW))["sub"] == "alice"


async def test_unknown_keys_cost_one_fetch_in_a_while(scene: Scene, other_rsa_pair: SigningPair) -> None:
    await scene.log_in()
    before = scene.idp.count("/jwks")
    for _ in range(5):
        fault = await refusal_of(scene, issue(other_rsa_pair, claims_of(scene.idp), typ="JWT"))
        assert (fault.error, fault.detail) == ("server_error", "ID token: unknown_key")
    assert scene.idp.count("/jwks") == before + 1


async def test_keys_that_cannot_be_had_are_an_outage(scene: Scene, other_rsa_pair: SigningPair) -> None:
    token = issue(other_rsa_pair, claims_of(scene.idp), typ="JWT")
    scene.idp.behaviours["/jwks"] = Behaviour.ERROR
    assert (await refusal_of(scene, token)).error == "temporarily_unavailable"


async def test_unknown_key_during_an_outage_is_an_outage(scene: Scene, other_rsa_pair: SigningPair) -> None:
    await scene.log_in()
    scene.idp.behaviours["/jwks"] = Behaviour.ERROR
    token = issue(other_rsa_pair, claims_of(scene.idp), typ="JWT")
    assert (await refusal_of(scene, token)).error == "temporarily_unavailable"


async def test_further_names_of_the_issuer_are_its_own(make_scene: SceneMaker, idp: FakeIdp) -> None:
    scene = make_scene(issuer={"other_issuers": ("https://sts.example.com/1/",)})
    token = issue(idp.pair, claims_of(idp, iss="https://sts.example.com/1/"), typ="JWT")
    assert (await read_id_token(token, scene.context, nonce=NONCE, now=NOW))["sub"] == "alice"
    for name in ("https://sts.example.com/1", "https://sts.example.com/2/"):
        await refusal_of(scene, issue(idp.pair, claims_of(idp, iss=name), typ="JWT"))
