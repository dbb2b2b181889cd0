from postern_sidecar.facade.allowances import Allowances


def test_burst_is_allowed_and_then_as_many_as_time_gives() -> None:
    allowances = Allowances(3, 0.5)
    assert [allowances.take("a", 100.0) for _ in range(5)] == [True, True, True, False, False]
    assert not allowances.take("a", 101.0)
    assert allowances.take("a", 102.0)
    assert not allowances.take("a", 102.0)


def test_refusals_do_not_push_the_next_one_away() -> None:
    allowances = Allowances(1, 1.0)
    assert allowances.take("a", 0.0)
    assert not any(allowances.take("a", i / 10) for i in range(1, 10))
    assert allowances.take("a", 1.0)


def test_rest_gives_no_more_than_the_burst() -> None:
    allowances = Allowances(2, 1.0)
    allowances.take("a", 0.0)
    assert [allowances.take("a", 1e6) for _ in range(3)] == [True, True, False]


def test_keys_have_buckets_of_their_own() -> None:
    allowances = Allowances(1, 0.0)
    assert allowances.take("a", 0.0)
    assert allowances.take("b", 0.0)
    assert not allowances.take("a", 0.0)


def test_clock_that_goes_back_gives_nothing() -> None:
    allowances = Allowances(1, 1.0)
    assert allowances.take("a", 100.0)
    assert not allowances.take("a", 50.0)
    assert allowances.take("a", 51.0)
