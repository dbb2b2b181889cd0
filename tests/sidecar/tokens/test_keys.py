import json
from typing import Any

import pytest

from postern_sidecar.tokens.keys import MAX_KEYS, read_keys
from tests.sidecar.tokens.judge import ring_from, ring_of
from tests.support.tokens import SigningPair, encode, make_pair


@pytest.fixture(scope="module")
def weak_pair() -> SigningPair:
    return make_pair("weak", "RS256", bits=1024)


def test_weak_rsa_key_is_left_out(weak_pair: SigningPair, rsa_pair: SigningPair) -> None:
    assert not ring_of(weak_pair, rsa_pair).knows("weak")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"use": "enc"}, id="for-encryption"),
        pytest.param({"use": None, "key_ops": ["encrypt"]}, id="operations-without-verify"),
        pytest.param({"key_ops": "verify"}, id="operations-not-an-array"),
        pytest.param({"alg": "HS256"}, id="algorithm-of-another-type"),
        pytest.param({"alg": ["RS256"]}, id="algorithm-not-a-string"),
        pytest.param({"alg": {}}, id="algorithm-an-object"),
        pytest.param({"kty": "AKP"}, id="foreign-type"),
        pytest.param({"kty": ["RSA"]}, id="type-not-a-string"),
        pytest.param({"n": "***"}, id="broken-modulus"),
        pytest.param({"n": 7}, id="modulus-not-a-string"),
        pytest.param({"n": None}, id="no-modulus"),
        pytest.param({"e": None}, id="no-exponent"),
        pytest.param({"e": "AA"}, id="exponent-zero"),
        pytest.param({"n": encode(b"\xff" * 4096)}, id="huge-modulus"),
        pytest.param({"kid": 5}, id="name-not-a-string"),
        pytest.param({"d": "AQAB"}, id="private"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, id="shared"),
    ],
)
def test_unusable_key_is_left_out_without_spoiling_the_others(
    rsa_pair: SigningPair, other_rsa_pair: SigningPair, changes: dict[str, Any]
) -> None:
    ring = ring_from(rsa_pair.jwk(**changes), other_rsa_pair.jwk())
    assert [key.kid for key in ring.keys] == [other_rsa_pair.kid]


@pytest.mark.parametrize("entry", [None, 1, "x", [], {}])
def test_entry_that_is_no_key_is_left_out(rsa_pair: SigningPair, entry: Any) -> None:
    assert len(ring_from(entry, rsa_pair.jwk()).keys) == 1


def test_key_off_its_curve_is_left_out(rsa_pair: SigningPair) -> None:
    curve = make_pair("ec", "ES256")
    assert not ring_from(curve.jwk(x=encode(b"\x01" * 32)), rsa_pair.jwk()).knows("ec")


def test_certificates_and_operations_beside_a_key_do_no_harm(rsa_pair: SigningPair) -> None:
    ring = ring_from(rsa_pair.jwk(x5c=["AAAA"], x5t="t", x5u="u", key_ops=["verify"], extra={"a": 1}))
    assert ring.knows(rsa_pair.kid)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[1]}', b'{"keys":[],"keys":[]}', b"<html>"],
)
def test_set_without_a_usable_key_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_keys(body)


def test_unchanged_document_gives_the_same_ring(rsa_pair: SigningPair) -> None:
    body = json.dumps({"keys": [rsa_pair.jwk()]}).encode()
    ring = read_keys(body)
    assert read_keys(body, ring) is ring
    assert read_keys(body + b" ", ring) is not ring


def test_no_more_keys_are_read_than_the_bound(rsa_pair: SigningPair) -> None:
    keys = [rsa_pair.jwk(kid=str(number)) for number in range(MAX_KEYS + 1)]
    assert len(ring_from(*keys).keys) == MAX_KEYS
