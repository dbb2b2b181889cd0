import pytest

from postern_sidecar.outcome import Outcome, Reason, verdict

EXPECTED = {
    Outcome.UNAUTHENTICATED: {401},
    Outcome.INVALID: {401},
    Outcome.INSUFFICIENT: {403},
    Outcome.UNAVAILABLE: {503},
    Outcome.FAILED: {503},
    Outcome.REFUSED: {400, 403, 404, 405, 421},
    Outcome.ANSWERED: {200, 204},
}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_status_that_fits_its_outcome(reason: Reason) -> None:
    assert verdict(reason).status in EXPECTED[verdict(reason).outcome]
