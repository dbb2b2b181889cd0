import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from postern_sidecar.outcome import Reason
from postern_sidecar.tokens.jwt import MAX_TOKEN_BYTES, read_header
from tests.sidecar.tokens.judge import AUDIENCE, ISSUER, NOW, judge, ring_from, ring_of
from tests.support.tokens import SigningPair, claims_for, encode, issue, make_pair, sign_raw


def claims(**changes: Any) -> dict[str, Any]:
    return claims_for(ISSUER, AUDIENCE, NOW, **changes)


def good_header(pair: SigningPair) -> bytes:
    return json.dumps({"alg": pair.algorithm, "kid": pair.kid, "typ": "at+jwt"}).encode()


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_good_token_of_each_default_algorithm_is_accepted(algorithm: str) -> None:
    pair = make_pair("k", algorithm)
    result = judge(issue(pair, claims()), ring_of(pair))
    assert result == claims()


@pytest.mark.parametrize("algorithm", ["ES384", "ES512", "Ed25519", "RS512", "PS384"])
def test_good_token_of_a_further_algorithm_is_accepted_when_configured(algorithm: str) -> None:
    pair = make_pair("k", algorithm)
    token = issue(pair, claims())
    assert judge(token, ring_of(pair), algorithms=frozenset((algorithm,))) == claims()
    assert judge(token, ring_of(pair)) is Reason.REFUSED_ALGORITHM


def test_key_named_ed25519_verifies_a_token_that_says_eddsa() -> None:
    pair = make_pair("k", "EdDSA")
    assert judge(issue(pair, claims()), ring_of(pair, alg="Ed25519")) == claims()


@pytest.mark.parametrize("kind", ["at+jwt", "application/at+jwt", "AT+JWT", "JWT", "jwt", None])
def test_access_token_types_are_accepted(rsa_pair: SigningPair, kind: str | None) -> None:
    assert judge(issue(rsa_pair, claims(), typ=kind), ring_of(rsa_pair)) == claims()


@pytest.mark.parametrize("kind", ["id+jwt", "logout+jwt", "dpop+jwt", "JWE", "", 7, ["JWT"]])
def test_other_types_are_refused(rsa_pair: SigningPair, kind: Any) -> None:
    assert judge(issue(rsa_pair, claims(), typ=kind), ring_of(rsa_pair)) is Reason.REFUSED_TYPE


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"nonce": "n"}, id="nonce"),
        pytest.param({"at_hash": "h"}, id="at_hash"),
        pytest.param({"c_hash": "h"}, id="c_hash"),
        pytest.param({"typ": "ID"}, id="keycloak-id"),
        pytest.param({"typ": "Refresh"}, id="keycloak-refresh"),
        pytest.param({"token_use": "id"}, id="cognito-id"),
        pytest.param({"token_use": "refresh_token"}, id="hydra-refresh"),
    ],
)
def test_id_token_and_its_kin_are_refused(rsa_pair: SigningPair, extra: dict[str, Any]) -> None:
    assert judge(issue(rsa_pair, claims(**extra)), ring_of(rsa_pair)) is Reason.ID_TOKEN


def test_keycloak_access_token_is_accepted(rsa_pair: SigningPair) -> None:
    assert not isinstance(judge(issue(rsa_pair, claims(typ="Bearer"), typ="JWT"), ring_of(rsa_pair)), Reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"exp": None}, Reason.BAD_CLAIMS, id="no-exp"),
        pytest.param({"exp": True}, Reason.BAD_CLAIMS, id="exp-true"),
        pytest.param({"exp": "1900000000"}, Reason.BAD_CLAIMS, id="exp-string"),
        pytest.param({"exp": -1}, Reason.BAD_CLAIMS, id="exp-negative"),
        pytest.param({"exp": 10**400}, Reason.BAD_CLAIMS, id="exp-huge"),
        pytest.param({"exp": 1e300}, Reason.BAD_CLAIMS, id="exp-huge-float"),
        pytest.param({"exp": [NOW + 600]}, Reason.BAD_CLAIMS, id="exp-array"),
        pytest.param({"exp": 0}, Reason.EXPIRED, id="exp-zero"),
        pytest.param({"exp": NOW - 30}, Reason.EXPIRED, id="exp-at-leeway"),
        pytest.param({"nbf": NOW + 31}, Reason.NOT_YET_VALID, id="nbf-ahead"),
        pytest.param({"iat": NOW + 31}, Reason.NOT_YET_VALID, id="iat-ahead"),
        pytest.param({"nbf": "soon"}, Reason.BAD_CLAIMS, id="nbf-string"),
        pytest.param({"iat": False}, Reason.BAD_CLAIMS, id="iat-false"),
        pytest.param({"sub": 7}, Reason.BAD_CLAIMS, id="sub-number"),
        pytest.param({"client_id": ["x"]}, Reason.BAD_CLAIMS, id="client-array"),
        pytest.param({"iss": None}, Reason.WRONG_ISSUER, id="no-iss"),
        pytest.param({"iss": ISSUER + "/"}, Reason.WRONG_ISSUER, id="iss-slash"),
        pytest.param({"iss": ISSUER.upper()}, Reason.WRONG_ISSUER, id="iss-case"),
        pytest.param({"iss": [ISSUER]}, Reason.WRONG_ISSUER, id="iss-array"),
        pytest.param({"aud": None}, Reason.WRONG_AUDIENCE, id="no-aud"),
        pytest.param({"aud": AUDIENCE + "/"}, Reason.WRONG_AUDIENCE, id="aud-slash"),
        pytest.param({"aud": []}, Reason.WRONG_AUDIENCE, id="aud-empty"),
        pytest.param({"aud": {AUDIENCE: 1}}, Reason.WRONG_AUDIENCE, id="aud-object"),
        pytest.param({"aud": [AUDIENCE, 1]}, Reason.WRONG_AUDIENCE, id="aud-mixed"),
        pytest.param({"aud": "https://mcp.example.com"}, Reason.WRONG_AUDIENCE, id="aud-prefix"),
    ],
)
def test_faulty_claim_is_refused_with_its_reason(
    rsa_pair: SigningPair, changes: dict[str, Any], reason: Reason
) -> None:
    assert judge(issue(rsa_pair, claims(**changes)), ring_of(rsa_pair)) is reason


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": NOW - 29.5}, id="exp-in-leeway"),
        pytest.param({"nbf": NOW + 30}, id="nbf-in-leeway"),
        pytest.param({"aud": ["other", "second"]}, id="aud-one-of-several"),
        pytest.param({"sub": None}, id="no-sub"),
    ],
)
def test_tolerable_claims_are_accepted(rsa_pair: SigningPair, changes: dict[str, Any]) -> None:
    assert judge(issue(rsa_pair, claims(**changes)), ring_of(rsa_pair)) == claims(**changes)


def test_audience_is_not_looked_at_when_waived(rsa_pair: SigningPair) -> None:
    token = issue(rsa_pair, claims(aud="someone else"))
    assert not isinstance(judge(token, ring_of(rsa_pair), audience_required=False), Reason)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": "ours"}, id="client_id"),
        pytest.param({"client_id": "ours", "azp": "theirs"}, id="client_id-before-azp"),
        pytest.param({"client_id": "ours", "aud": "ours"}, id="client-is-the-audience"),
        pytest.param({"client_id": None, "azp": "ours"}, id="azp"),
    ],
)
@pytest.mark.parametrize("audience_required", [True, False])
def test_token_issued_to_the_client_is_accepted(
    rsa_pair: SigningPair, audience_required: bool, changes: dict[str, Any]
) -> None:
    said = claims(**{"aud": "environment", **changes})
    if audience_required:
        said["aud"] = AUDIENCE
    result = judge(issue(rsa_pair, said), ring_of(rsa_pair), audience_required=audience_required, client_id="ours")
    assert result == said


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": "theirs"}, id="another"),
        pytest.param({"client_id": "theirs", "azp": "ours"}, id="azp-does-not-help"),
        pytest.param({"client_id": None}, id="none"),
        pytest.param({"client_id": None, "aud": "ours"}, id="in-aud-alone"),
        pytest.param({"client_id": None, "sub": "ours"}, id="in-sub-alone"),
        pytest.param({"client_id": None, "azp": "theirs"}, id="azp-of-another"),
        pytest.param({"client_id": None, "azp": "ours", "aud": "ours"}, id="id-token"),
        pytest.param({"client_id": None, "azp": "ours", "aud": ["ours", "x"]}, id="id-token-of-several"),
        pytest.param({"client_id": ""}, id="empty"),
        pytest.param({"client_id": "OURS"}, id="case"),
        pytest.param({"client_id": "ours "}, id="space"),
        pytest.param({"client_id": "ours2"}, id="longer"),
        pytest.param({"client_id": "our"}, id="shorter"),
        pytest.param({"client_id": ["ours"]}, id="array"),
        pytest.param({"client_id": {"ours": 1}}, id="object"),
        pytest.param({"client_id": True}, id="true"),
        pytest.param({"client_id": None, "azp": ["ours"]}, id="azp-array"),
    ],
)
def test_token_that_does_not_name_the_client_is_refused_whatever_its_audience(
    rsa_pair: SigningPair, changes: dict[str, Any]
) -> None:
    token, ring = issue(rsa_pair, claims(**changes)), ring_of(rsa_pair)
    assert judge(token, ring, audience_required=False, client_id="ours") is Reason.WRONG_AUDIENCE
    assert judge(token, ring, client_id="ours") is Reason.WRONG_AUDIENCE


def test_null_client_is_not_replaced_by_azp(rsa_pair: SigningPair) -> None:
    token = issue(rsa_pair, {**claims(azp="ours"), "client_id": None})
    assert judge(token, ring_of(rsa_pair), client_id="ours") is Reason.WRONG_AUDIENCE


def test_client_named_twice_is_refused(rsa_pair: SigningPair) -> None:
    payload = json.dumps(claims(client_id="theirs")).encode()[:-1] + b', "client_id": "ours"}'
    token = sign_raw(rsa_pair, good_header(rsa_pair), payload)
    assert judge(token, ring_of(rsa_pair), client_id="ours") is Reason.MALFORMED_TOKEN


def test_wrong_audience_is_refused_although_the_client_is_right(rsa_pair: SigningPair) -> None:
    token = issue(rsa_pair, claims(aud="someone else", client_id="ours"))
    assert judge(token, ring_of(rsa_pair), client_id="ours") is Reason.WRONG_AUDIENCE


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_expiry_that_is_no_number_is_refused(rsa_pair: SigningPair, number: bytes) -> None:
    payload = json.dumps(claims(exp=None)).encode()[:-1] + b', "exp": ' + number + b"}"
    assert judge(sign_raw(rsa_pair, good_header(rsa_pair), payload), ring_of(rsa_pair)) is Reason.MALFORMED_TOKEN


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256", "HS512", "RS1", None, 5, ["RS256"]])
def test_algorithm_outside_the_list_is_refused(rsa_pair: SigningPair, algorithm: Any) -> None:
    token = issue(rsa_pair, claims(), alg=algorithm)
    assert judge(token, ring_of(rsa_pair)) is Reason.REFUSED_ALGORITHM


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_unsafe_algorithm_is_refused_even_if_configured(rsa_pair: SigningPair, algorithm: str) -> None:
    token = issue(rsa_pair, claims(), alg=algorithm)
    assert read_header(token.encode(), frozenset((algorithm,))) is Reason.REFUSED_ALGORITHM


def test_unsigned_token_is_refused(rsa_pair: SigningPair) -> None:
    token = encode(b'{"alg":"none"}') + "." + encode(json.dumps(claims()).encode()) + "."
    assert judge(token, ring_of(rsa_pair), algorithms=frozenset(("none", "RS256"))) is Reason.MALFORMED_TOKEN


def test_public_key_used_as_shared_secret_is_refused(rsa_pair: SigningPair) -> None:
    secret = json.dumps(rsa_pair.jwk()).encode()
    data = encode(b'{"alg":"HS256","kid":"rsa-1"}') + "." + encode(json.dumps(claims()).encode())
    token = f"{data}.{encode(hmac.digest(secret, data.encode(), hashlib.sha256))}"
    assert judge(token, ring_of(rsa_pair)) is Reason.REFUSED_ALGORITHM


def test_algorithm_of_another_key_type_is_refused(rsa_pair: SigningPair) -> None:
    assert judge(issue(rsa_pair, claims(), alg="ES256"), ring_of(rsa_pair)) is Reason.REFUSED_ALGORITHM


def test_algorithm_other_than_the_keys_own_is_refused(rsa_pair: SigningPair) -> None:
    pss = SigningPair(rsa_pair.kid, "PS256", rsa_pair.private)
    assert judge(issue(pss, claims()), ring_of(rsa_pair)) is Reason.REFUSED_ALGORITHM
    assert judge(issue(pss, claims()), ring_of(rsa_pair, alg=None)) == claims()


def test_curve_that_does_not_fit_the_algorithm_is_refused() -> None:
    pair = make_pair("k", "ES384")
    token = issue(pair, claims(), alg="ES256")
    assert judge(token, ring_of(pair, alg=None)) is Reason.REFUSED_ALGORITHM


@pytest.mark.parametrize("header", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"b64": False}, {"crit": "x"}])
def test_critical_extension_is_refused(rsa_pair: SigningPair, header: dict[str, Any]) -> None:
    assert judge(issue(rsa_pair, claims(), **header), ring_of(rsa_pair)) is Reason.REFUSED_EXTENSION


def test_unknown_header_member_is_ignored(rsa_pair: SigningPair) -> None:
    assert judge(issue(rsa_pair, claims(), pi="x" * 1000, cty="JWT"), ring_of(rsa_pair)) == claims()


def test_key_named_by_the_token_itself_is_never_used(rsa_pair: SigningPair, other_rsa_pair: SigningPair) -> None:
    places = {"jwk": other_rsa_pair.jwk(), "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x"}
    for name, value in places.items():
        named = issue(other_rsa_pair, claims(), **{name: value})
        assert judge(named, ring_of(rsa_pair)) is Reason.UNKNOWN_KEY
        borrowed = issue(other_rsa_pair, claims(), kid=rsa_pair.kid, **{name: value})
        assert judge(borrowed, ring_of(rsa_pair)) is Reason.BAD_SIGNATURE


def test_token_of_a_foreign_key_is_refused(rsa_pair: SigningPair, other_rsa_pair: SigningPair) -> None:
    token = issue(other_rsa_pair, claims(), kid=rsa_pair.kid)
    assert judge(token, ring_of(rsa_pair)) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("part", [0, 1, 2])
def test_changed_part_is_refused(rsa_pair: SigningPair, part: int) -> None:
    parts = issue(rsa_pair, claims()).split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[part] + "=="))
    raw[len(raw) // 2] ^= 1
    parts[part] = encode(bytes(raw))
    assert isinstance(judge(".".join(parts), ring_of(rsa_pair)), Reason)


def test_token_without_kid_needs_exactly_one_fitting_key(rsa_pair: SigningPair, other_rsa_pair: SigningPair) -> None:
    token = issue(rsa_pair, claims(), kid=None)
    curve = make_pair("ec", "ES256")
    assert judge(token, ring_of(rsa_pair, curve)) == claims()
    assert judge(token, ring_of(rsa_pair, other_rsa_pair)) is Reason.UNKNOWN_KEY
    assert judge(token, ring_of(curve)) is Reason.UNKNOWN_KEY


def test_kid_that_is_no_string_is_refused(rsa_pair: SigningPair) -> None:
    assert judge(issue(rsa_pair, claims(), kid=1), ring_of(rsa_pair)) is Reason.MALFORMED_TOKEN


def test_two_keys_of_one_name_are_both_tried(rsa_pair: SigningPair, other_rsa_pair: SigningPair) -> None:
    ring = ring_from(rsa_pair.jwk(kid="same"), other_rsa_pair.jwk(kid="same"))
    assert judge(issue(rsa_pair, claims(), kid="same"), ring) == claims()
    assert judge(issue(other_rsa_pair, claims(), kid="same"), ring) == claims()


def test_duplicate_header_member_is_refused(rsa_pair: SigningPair) -> None:
    header = b'{"alg":"none","alg":"RS256","kid":"rsa-1","typ":"at+jwt"}'
    token = sign_raw(rsa_pair, header, json.dumps(claims()).encode())
    assert judge(token, ring_of(rsa_pair)) is Reason.MALFORMED_TOKEN


@pytest.mark.parametrize("extra", [b'"sub":"bob"', b'"x":{"a":1,"a":2}', b'"\\u0073ub":"bob"'])
def test_duplicate_claim_is_refused_at_any_depth(rsa_pair: SigningPair, extra: bytes) -> None:
    payload = json.dumps(claims()).encode()[:-1] + b"," + extra + b"}"
    assert judge(sign_raw(rsa_pair, good_header(rsa_pair), payload), ring_of(rsa_pair)) is Reason.MALFORMED_TOKEN


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="array"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="utf-16"),
        pytest.param(b'{"a":' * 3000 + b"1" + b"}" * 3000, id="deep"),
        pytest.param(b'{"sub":"\\ud800"}', id="lone-surrogate"),
    ],
)
def test_payload_that_is_no_clean_object_is_refused(rsa_pair: SigningPair, payload: bytes) -> None:
    token = sign_raw(rsa_pair, good_header(rsa_pair), payload)
    assert judge(token, ring_of(rsa_pair)) is Reason.MALFORMED_TOKEN


def test_token_of_the_greatest_size_is_accepted_and_a_longer_one_refused(rsa_pair: SigningPair) -> None:
    base = len(issue(rsa_pair, claims(pad="")))
    fitting = issue(rsa_pair, claims(pad="x" * ((MAX_TOKEN_BYTES - base) * 3 // 4 - 2)))
    assert MAX_TOKEN_BYTES - 8 < len(fitting) <= MAX_TOKEN_BYTES
    assert not isinstance(judge(fitting, ring_of(rsa_pair)), Reason)
    assert judge(issue(rsa_pair, claims(pad="x" * MAX_TOKEN_BYTES)), ring_of(rsa_pair)) is Reason.MALFORMED_TOKEN


@pytest.mark.parametrize(
    "token", ["", "opaque", "a.b", "a.b.c.d.e", "..", "ä.b.c", "a.b.c\n", "a .b.c", "e30.e30.AA==", "e3.e30.AA"]
)
def test_text_that_is_no_signed_jwt_is_refused(rsa_pair: SigningPair, token: str) -> None:
    assert isinstance(judge(token, ring_of(rsa_pair)), Reason)
