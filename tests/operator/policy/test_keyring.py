"""The key rings: what any replica seals, every other one opens, also while keys are on their way to it."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from postern_crds.key_ring import MAX_KEYS, decode, encode
from postern_operator.policy.keyring import (
    EPOCH_S,
    EPOCHS,
    LEAD_S,
    Master,
    master_name,
    read_masters,
    ring,
    ring_hash,
)
from postern_sidecar.sealing import Purpose, Seals

UID = "2f4e"
ISSUER = "https://mcp.example.com"
DAY_S = 86_400
START = 1_795_219_200
"""21 November 2026, in the middle of epoch 230."""
BOUNDARY = 231 * EPOCH_S

times = st.one_of(
    st.integers(START, START + 4 * EPOCH_S),
    # Around the turn of an epoch, where keys change.
    st.integers(BOUNDARY - 2 * LEAD_S, BOUNDARY + 2 * LEAD_S),
)
histories = st.lists(times, max_size=4, unique=True).map(lambda created: sorted({START - DAY_S, *created}))
"""When master keys were added, the first one long before anything is sealed."""


def make_master(created: int) -> Master:
    """A master key that was made at this time; the secret follows from it."""
    return Master(master_name(created), hashlib.sha256(str(created).encode()).digest())


def seals(created: Sequence[int], now: int, uid: str = UID) -> Seals:
    """What a sidecar has whose ring was rendered now, from the master keys that there were by then."""
    return Seals(ring([make_master(time) for time in created if time <= now], uid, now), ISSUER)


def opens(one: Seals, sealed: str) -> bool:
    return one.open(Purpose.CODE, sealed) == b"content"


def seal(one: Seals, now: float) -> str:
    return one.seal(Purpose.CODE, b"content", now)


@given(histories, times, st.integers(0, LEAD_S), st.integers(0, LEAD_S))
def test_replicas_with_rings_of_different_age_open_what_the_other_seals(
    history: list[int], now: int, age_s: int, ahead_s: int
) -> None:
    assume(age_s + ahead_s <= LEAD_S)
    new, old = seals(history, now), seals(history, now - age_s)

    assert opens(old, seal(new, now))
    assert opens(new, seal(old, now))
    assert opens(old, seal(new, now + ahead_s)), "a clock that is ahead"
    assert opens(new, seal(old, now + ahead_s)), "a clock that is ahead"


@given(histories, times, st.integers(0, 540 * DAY_S))
def test_what_was_sealed_is_opened_for_540_days(history: list[int], now: int, later_s: int) -> None:
    assert opens(seals(history, now + later_s), seal(seals(history, now), now))


def test_what_was_sealed_is_no_longer_opened_after_eight_epochs() -> None:
    sealed = seal(seals([START], START), START)

    assert not opens(seals([START], START + EPOCHS * EPOCH_S), sealed)


@given(histories, times)
def test_each_key_seals_in_a_stretch_of_time_that_is_its_alone(history: list[int], now: int) -> None:
    keys = ring([make_master(time) for time in history if time <= now], UID, now).keys

    assert [key.not_before for key in keys] == sorted({key.not_before for key in keys})
    assert len({key.secret for key in keys}) == len(keys)


@given(histories, times)
def test_file_of_the_ring_is_read_back(history: list[int], now: int) -> None:
    made = ring([make_master(time) for time in history if time <= now], UID, now)

    assert decode(encode(made).encode()) == made


def test_only_master_key_has_the_next_the_present_and_six_older_epochs() -> None:
    keys = ring([make_master(START)], UID, START).keys

    present = START // EPOCH_S
    assert [key.not_before // EPOCH_S for key in keys] == list(range(present - 6, present + 2))
    assert all(key.not_before % EPOCH_S == 0 for key in keys)
    assert [key.kid for key in keys] == [f"20261121T000000Z-{epoch}" for epoch in range(present - 6, present + 2)]


def test_first_master_key_seals_at_once() -> None:
    assert opens(seals([START], START), seal(seals([START], START), START))


def test_further_master_key_seals_ten_minutes_after_its_creation() -> None:
    rotated = START + DAY_S
    keys = ring([make_master(START), make_master(rotated)], UID, rotated)

    before, after = (seal(Seals(keys, ISSUER), rotated + LEAD_S + s) for s in (-1, 0))

    assert opens(seals([START], rotated), before)
    assert not opens(seals([START], rotated), after)


def test_older_master_key_has_no_key_of_the_time_after_it() -> None:
    rotated = START + DAY_S
    keys = ring([make_master(START), make_master(rotated)], UID, rotated).keys

    last = [key.kid for key in keys if key.not_before >= rotated]
    present = START // EPOCH_S
    assert last == [f"20261122T000000Z-{present}", f"20261122T000000Z-{present + 1}"]


def test_removed_master_key_takes_along_all_that_it_sealed_and_nothing_else() -> None:
    rotated = START + DAY_S
    both = [START, rotated]
    by_first, by_second = (seal(seals(both, rotated), now) for now in (rotated, rotated + LEAD_S))

    assert not opens(seals([rotated], rotated + DAY_S), by_first)
    assert opens(seals([rotated], rotated + DAY_S), by_second)
    assert opens(seals([START], rotated + DAY_S), by_first)
    assert not opens(seals([START], rotated + DAY_S), by_second)


def test_ring_of_another_policy_opens_nothing() -> None:
    assert not opens(seals([START], START, uid="other"), seal(seals([START], START), START))


def test_derivation_is_the_one_that_rings_of_before_were_made_with() -> None:
    master = make_master(START)
    found = ring([master], UID, START).keys[-1]

    # RFC 5869 by hand: extract with a salt of zeros, one block of expand.
    extracted = hmac.digest(bytes(32), master.secret, "sha256")
    expected = hmac.digest(extracted, b"postern/ring/v1/2f4e/231\x01", "sha256")
    assert found.kid == "20261121T000000Z-231"
    assert found.secret_bytes() == expected


def test_ring_stays_readable_after_dozens_of_rotations_and_keeps_the_newest_keys() -> None:
    history = [START + hour * 3600 for hour in range(3 * MAX_KEYS)]
    now = history[-1] + DAY_S

    made = ring([make_master(time) for time in history], UID, now)

    assert decode(encode(made).encode()) == made
    assert opens(Seals(made, ISSUER), seal(seals(history, now), now))


def test_no_master_key_gives_no_ring() -> None:
    with pytest.raises(ValueError, match="no master key"):
        ring([], UID, START)


def test_hash_differs_with_the_ring_and_is_not_its_content() -> None:
    one, other = (ring([make_master(time)], UID, START) for time in (START, START + 1))

    assert ring_hash(one) == ring_hash(ring([make_master(START)], UID, START + 1))
    assert ring_hash(one) != ring_hash(other)
    assert len(ring_hash(one)) == 16


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("20261121T000000Z", base64.b64encode(bytes(31)).decode(), id="too short"),
        pytest.param("20261121T000000Z", base64.b64encode(bytes(33)).decode(), id="too long"),
        pytest.param("20261121T000000Z", "!" * 44, id="not base64"),
        pytest.param("20261121T000000Z", None, id="no value"),
        pytest.param("20261121T000000Z", 7, id="a number"),
        pytest.param("key", base64.b64encode(bytes(32)).decode(), id="no time"),
        pytest.param("20261321T000000Z", base64.b64encode(bytes(32)).decode(), id="a month that does not exist"),
        pytest.param("20261121T000000", base64.b64encode(bytes(32)).decode(), id="no zone"),
        pytest.param("20261121T000000Z.bak", base64.b64encode(bytes(32)).decode(), id="something behind"),
        pytest.param("2026112\u0661T000000Z", base64.b64encode(bytes(32)).decode(), id="another script's digit"),
    ],
)
def test_entry_that_is_no_key_is_left_out_and_named(name: str, value: Any) -> None:
    good = base64.b64encode(b"k" * 32).decode()

    found = read_masters({name: value, "20270101T000000Z": good})

    assert found.unusable == (name,)
    assert found.keys == (Master("20270101T000000Z", b"k" * 32),)


def test_master_keys_come_oldest_first() -> None:
    good = base64.b64encode(b"k" * 32).decode()

    found = read_masters({"20270101T000000Z": good, "20261121T000000Z": good})

    assert [key.name for key in found.keys] == ["20261121T000000Z", "20270101T000000Z"]
