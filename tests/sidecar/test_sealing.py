"""Attacks on what we seal: whatever was not sealed by us, for this purpose, issuer and ring, is not opened."""

import json
from base64 import urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from postern_crds.key_ring import KeyRing, RingKey, encode_secret
from postern_sidecar.sealing import MAX_SEALED_BYTES, Purpose, Seals

ISSUER = "https://mcp.example.com"
NOW = 1_800_000_000.0
DAY_S = 86400
HEADER = {"alg": "dir", "enc": "A256GCM", "kid": "a", "typ": "postern-code"}


def ring_key(kid: str, *, secret: bytes | None = None, not_before: float = 0) -> RingKey:
    return RingKey(kid, encode_secret(secret or kid.encode().ljust(32, b".")), int(not_before))


def seals_of(*keys: RingKey, issuer: str = ISSUER) -> Seals:
    return Seals(KeyRing(keys or (ring_key("a"),)), issuer)


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def with_header(sealed: str, header: bytes) -> str:
    return ".".join([encode(header), *sealed.split(".")[1:]])


@given(content=st.binary(max_size=400), purpose=st.sampled_from(Purpose), other=st.sampled_from(Purpose))
def test_sealed_text_of_one_purpose_is_opened_for_that_purpose_alone(
    content: bytes, purpose: Purpose, other: Purpose
) -> None:
    seals = seals_of()
    sealed = seals.seal(purpose, content, NOW)
    assert seals.open(other, sealed) == (content if other is purpose else None)


@given(content=st.binary(max_size=60), data=st.data())
def test_text_with_any_character_changed_is_not_opened(content: bytes, data: st.DataObject) -> None:
    seals = seals_of()
    sealed = seals.seal(Purpose.CODE, content, NOW)
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from("ABab01-_=+/. \n").filter(lambda character: character != sealed[place]))
    assert seals.open(Purpose.CODE, sealed[:place] + other + sealed[place + 1 :]) is None


@given(content=st.binary(max_size=60), data=st.data())
def test_truncated_text_is_not_opened(content: bytes, data: st.DataObject) -> None:
    seals = seals_of()
    sealed = seals.seal(Purpose.CODE, content, NOW)
    assert seals.open(Purpose.CODE, sealed[: data.draw(st.integers(0, len(sealed) - 1))]) is None


@given(st.text(max_size=200))
def test_any_text_is_neither_opened_nor_an_error(text: str) -> None:
    assert seals_of().open(Purpose.CODE, text) is None
    assert seals_of().mac(Purpose.CODE, text) is None


@pytest.mark.parametrize("tail", [".", ".x", "=", " ", "\n", "\x00", "é"])
def test_text_with_something_added_is_not_opened(tail: str) -> None:
    seals = seals_of()
    assert seals.open(Purpose.CODE, seals.seal(Purpose.CODE, b"x", NOW) + tail) is None


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({**HEADER, "alg": "A256KW"}, id="algorithm swapped"),
        pytest.param({**HEADER, "alg": "none"}, id="no algorithm"),
        pytest.param({**HEADER, "alg": ["dir"]}, id="algorithm in a list"),
        pytest.param({**HEADER, "enc": "A128GCM"}, id="encryption swapped"),
        pytest.param({**HEADER, "enc": []}, id="encryption of a wrong type"),
        pytest.param({**HEADER, "zip": "DEF"}, id="compression"),
        pytest.param({**HEADER, "crit": ["exp"], "exp": 1}, id="extension"),
        pytest.param({**HEADER, "kid": ["a"]}, id="key name of a wrong type"),
        pytest.param({**HEADER, "kid": "b"}, id="unknown key"),
        pytest.param({**HEADER, "typ": "postern-transaction"}, id="purpose swapped"),
        pytest.param({"alg": "dir", "enc": "A256GCM", "typ": "postern-code"}, id="no key name"),
        pytest.param([], id="a list"),
        pytest.param("postern-code", id="a string"),
        pytest.param(None, id="null"),
    ],
)
def test_header_that_we_do_not_write_is_refused(header: object) -> None:
    seals = seals_of()
    sealed = with_header(seals.seal(Purpose.CODE, b"x", NOW), json.dumps(header).encode())
    assert seals.open(Purpose.CODE, sealed) is None
    if not (isinstance(header, dict) and header.get("kid") == "a"):
        assert seals.mac(Purpose.CODE, sealed) is None


@pytest.mark.parametrize("depth", [100, 360, 9000])
def test_deeply_nested_header_is_refused_and_no_error(depth: int) -> None:
    seals = seals_of()
    sealed = with_header(seals.seal(Purpose.CODE, b"x", NOW), b'{"alg":"dir","kid":' + b"[" * depth)
    assert seals.open(Purpose.CODE, sealed) is None
    assert seals.mac(Purpose.CODE, sealed) is None


def test_compressed_content_under_the_right_key_is_refused() -> None:
    # Even whoever held a derived key could not make us inflate.
    seals = seals_of()
    derived = seals._derive(ring_key("a"), Purpose.CODE)
    header = encode(json.dumps({**HEADER, "zip": "DEF"}).encode())
    encrypted = AESGCM(derived.raw_value).encrypt(b"\x00" * 12, b"\xcbH\xcd\xc9\xc9\x07\x00", header.encode())
    sealed = f"{header}..{encode(bytes(12))}.{encode(encrypted[:-16])}.{encode(encrypted[-16:])}"
    assert seals.open(Purpose.CODE, sealed) is None


def test_text_with_an_encrypted_key_is_refused() -> None:
    seals = seals_of()
    header, _, *rest = seals.seal(Purpose.CODE, b"x", NOW).split(".")
    assert seals.open(Purpose.CODE, ".".join([header, "AAAA", *rest])) is None


@pytest.mark.parametrize("part", [2, 4], ids=["initialization vector", "tag"])
@pytest.mark.parametrize("value", ["", "AA", "AAAAAA", "A" * 64])
def test_initialization_vector_or_tag_of_another_length_is_refused(part: int, value: str) -> None:
    seals = seals_of()
    parts = seals.seal(Purpose.CODE, b"x", NOW).split(".")
    parts[part] = value
    assert seals.open(Purpose.CODE, ".".join(parts)) is None


def test_parts_of_two_sealed_texts_do_not_fit_together() -> None:
    seals = seals_of()
    one, two = (seals.seal(Purpose.CODE, content, NOW).split(".") for content in (b"one", b"two"))
    assert seals.open(Purpose.CODE, ".".join([*one[:3], two[3], one[4]])) is None


def test_text_for_another_issuer_is_not_opened() -> None:
    sealed = seals_of(issuer="https://mcp.example.com/other").seal(Purpose.CODE, b"x", NOW)
    assert seals_of().open(Purpose.CODE, sealed) is None


def test_text_of_another_ring_is_not_opened_even_under_the_same_key_name() -> None:
    sealed = seals_of(ring_key("a", secret=b"o" * 32)).seal(Purpose.CODE, b"x", NOW)
    assert seals_of().open(Purpose.CODE, sealed) is None


def test_text_sealed_with_the_bare_secret_of_the_ring_is_not_opened() -> None:
    header = encode(json.dumps(HEADER).encode())
    encrypted = AESGCM(ring_key("a").secret_bytes()).encrypt(bytes(12), b"x", header.encode())
    sealed = f"{header}..{encode(bytes(12))}.{encode(encrypted[:-16])}.{encode(encrypted[-16:])}"
    assert seals_of().open(Purpose.CODE, sealed) is None


def test_longest_key_name_seals_and_opens() -> None:
    seals = seals_of(ring_key("k" * 250, secret=b"s" * 32))
    for purpose in Purpose:
        assert seals.open(purpose, seals.seal(purpose, b"x", NOW)) == b"x"


def test_huge_text_is_refused_unread() -> None:
    assert seals_of().open(Purpose.CODE, "A" * (MAX_SEALED_BYTES + 1)) is None
    assert seals_of().open(Purpose.CODE, "." * MAX_SEALED_BYTES) is None


def test_what_can_be_sealed_can_be_opened_up_to_the_limit() -> None:
    seals = seals_of()
    overhead = len(seals.seal(Purpose.CODE, b"", NOW))
    content = b"x" * ((MAX_SEALED_BYTES - overhead) * 3 // 4)
    sealed = seals.seal(Purpose.CODE, content, NOW)
    assert MAX_SEALED_BYTES - 1 <= len(sealed) <= MAX_SEALED_BYTES
    assert seals.open(Purpose.CODE, sealed) == content
    with pytest.raises(ValueError, match="too long to be sealed"):
        seals.seal(Purpose.CODE, content + b"xx", NOW)


def test_two_seals_of_the_same_content_differ() -> None:
    seals = seals_of()
    assert seals.seal(Purpose.CODE, b"x", NOW) != seals.seal(Purpose.CODE, b"x", NOW)


def test_text_sealed_under_an_old_key_is_opened_after_rotation() -> None:
    sealed = seals_of(ring_key("a")).seal(Purpose.CODE, b"x", NOW)
    rotated = seals_of(ring_key("a"), ring_key("b", not_before=NOW))
    assert rotated.open(Purpose.CODE, sealed) == b"x"


def test_text_is_not_opened_once_its_key_left_the_ring() -> None:
    sealed = seals_of(ring_key("a")).seal(Purpose.CODE, b"x", NOW)
    assert seals_of(ring_key("b")).open(Purpose.CODE, sealed) is None


@pytest.mark.parametrize(
    ("now", "kid"),
    [
        pytest.param(NOW - 1, "a", id="before the new key"),
        pytest.param(NOW, "b", id="from its time on"),
        pytest.param(NOW + DAY_S, "b", id="later"),
        pytest.param(-5.0, "a", id="clock far behind"),
    ],
)
def test_latest_key_whose_time_has_come_seals(now: float, kid: str) -> None:
    # Out of order on purpose: the file's order says nothing.
    seals = seals_of(ring_key("c", not_before=NOW + 2 * DAY_S), ring_key("b", not_before=NOW), ring_key("a"))
    assert seals.seal(Purpose.CODE, b"x", now).startswith(
        encode(json.dumps({**HEADER, "kid": kid}, separators=(",", ":")).encode())
    )


def test_replica_that_has_a_future_key_already_opens_what_others_seal_with_it() -> None:
    ahead = seals_of(ring_key("a"), ring_key("b", not_before=NOW + 60))
    assert ahead.open(Purpose.CODE, ahead.seal(Purpose.CODE, b"x", NOW + 60)) == b"x"
    behind = seals_of(ring_key("a"), ring_key("b", not_before=NOW + 60))
    assert behind.open(Purpose.CODE, ahead.seal(Purpose.CODE, b"x", NOW + 60)) == b"x"


def test_secret_of_a_sealed_text_is_the_same_on_every_replica_and_after_rotation() -> None:
    sealed = seals_of(ring_key("a")).seal(Purpose.REGISTRATION, b"x", NOW)
    secret = seals_of(ring_key("a")).mac(Purpose.REGISTRATION, sealed)
    assert secret is not None
    assert len(secret) == 43
    assert seals_of(ring_key("a"), ring_key("b")).mac(Purpose.REGISTRATION, sealed) == secret


def test_secrets_differ_by_text_purpose_issuer_and_ring() -> None:
    seals = seals_of()
    one, two = (seals.seal(Purpose.REGISTRATION, b"x", NOW) for _ in range(2))
    secrets = {
        seals.mac(Purpose.REGISTRATION, one),
        seals.mac(Purpose.REGISTRATION, two),
        seals_of(issuer="https://other.example.com").mac(Purpose.REGISTRATION, one),
        seals_of(ring_key("a", secret=b"o" * 32)).mac(Purpose.REGISTRATION, one),
    }
    assert len(secrets) == 4
    assert seals.mac(Purpose.CODE, one) is None
    assert seals_of(ring_key("b")).mac(Purpose.REGISTRATION, one) is None
