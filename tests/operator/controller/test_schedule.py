import pytest

from postern_operator.controller.schedule import Outcome, Schedule


def schedule() -> Schedule[str]:
    return Schedule(random=lambda: 0.5)  # the middle of the jitter: no jitter


def waits(outcome: Outcome, count: int) -> list[float]:
    """Give the pauses after so many passes with the same outcome."""
    s, now, found = schedule(), 0.0, []
    s.add("a", now)
    for _ in range(count):
        assert s.take(now) == "a"
        s.done("a", outcome, now)
        due = s.next_due()
        assert due is not None
        found.append(due - now)
        now = due
    return found


def test_added_key_is_due_at_once_and_only_once() -> None:
    s = schedule()
    s.add("a", 1.0)
    s.add("a", 2.0)
    assert s.take(2.0) == "a"
    assert s.take(2.0) is None


def test_keys_come_in_the_order_they_were_added() -> None:
    s = schedule()
    for key in ("b", "a", "c"):
        s.add(key, 1.0)
    assert [s.take(1.0) for _ in range(4)] == ["b", "a", "c", None]


def test_key_added_while_it_is_worked_on_comes_again_afterwards() -> None:
    s = schedule()
    s.add("a", 0.0)
    assert s.take(0.0) == "a"
    s.add("a", 1.0)
    assert s.take(1.0) is None
    s.done("a", Outcome.SETTLED, 2.0)
    assert s.take(2.0) == "a"


def test_settled_key_is_forgotten() -> None:
    s = schedule()
    s.add("a", 0.0)
    s.take(0.0)
    s.done("a", Outcome.SETTLED, 0.0)
    assert (s.next_due(), s.depth(0.0), s.retrying(), s._entries) == (None, 0, 0, {})


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.REFUSED, Outcome.FAILED])
def test_failing_key_backs_off_from_a_second_to_five_minutes(outcome: Outcome) -> None:
    assert waits(outcome, 11) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_unsettled_key_is_looked_at_from_two_seconds_to_a_minute() -> None:
    assert waits(Outcome.UNSETTLED, 7) == [2, 4, 8, 16, 32, 60, 60]


def test_conflict_is_retried_at_once_and_then_backs_off() -> None:
    assert waits(Outcome.CONFLICT, 4) == [0, 2, 4, 8]


def test_jitter_stays_within_a_fifth() -> None:
    for share, expected in ((0.0, 0.8), (1.0, 1.2)):
        s: Schedule[str] = Schedule(random=lambda share=share: share)  # type: ignore[misc]  # bound early on purpose
        s.add("a", 0.0)
        s.take(0.0)
        s.done("a", Outcome.UNAVAILABLE, 0.0)
        assert s.next_due() == pytest.approx(expected)


def test_event_ends_the_wait_of_a_failing_key() -> None:
    s = schedule()
    s.add("a", 0.0)
    s.take(0.0)
    s.done("a", Outcome.UNAVAILABLE, 0.0)
    assert s.take(0.5) is None
    s.add("a", 0.5)
    assert s.take(0.5) == "a"


def test_event_makes_the_looks_quick_again() -> None:
    s = schedule()
    now = 0.0
    s.add("a", now)
    for _ in range(4):
        s.take(now)
        s.done("a", Outcome.UNSETTLED, now)
        now = s.next_due() or now
    s.add("a", now)
    s.take(now)
    s.done("a", Outcome.UNSETTLED, now)
    assert s.next_due() == now + 2


def test_success_ends_the_back_off() -> None:
    s = schedule()
    s.add("a", 0.0)
    for outcome in (Outcome.FAILED, Outcome.FAILED, Outcome.UNSETTLED):
        s.add("a", 100.0)
        s.take(100.0)
        s.done("a", outcome, 100.0)
    assert s.retrying() == 0
    s.add("a", 200.0)
    s.take(200.0)
    s.done("a", Outcome.FAILED, 200.0)
    assert s.next_due() == 201.0
    assert s.retrying() == 1


def test_depth_counts_what_waits_for_a_worker() -> None:
    s = schedule()
    for key in ("a", "b", "c"):
        s.add(key, 0.0)
    s.take(0.0)
    assert s.depth(0.0) == 2
