from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from postern_operator.certificates.building import AUTHORITY_LIFETIME, LEAF_LIFETIME
from postern_operator.certificates.plan import OVERLAP, SETTLING, Action, State, plan

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
FRESH = State(
    authority_from=NOW - 10 * DAY,
    authority_until=NOW - 10 * DAY + AUTHORITY_LIFETIME,
    leaf_from=NOW - 10 * DAY,
    leaf_until=NOW - 10 * DAY + LEAF_LIFETIME,
    names_fit=True,
    leaf_is_current=True,
    has_old_authorities=False,
    published_at=NOW - 10 * DAY,
)
ROTATING = replace(FRESH, leaf_is_current=False, has_old_authorities=True, published_at=None)


@pytest.mark.parametrize(
    ("state", "action"),
    [
        pytest.param(None, Action.CREATE, id="nothing there"),
        pytest.param(FRESH, Action.NOTHING, id="all fresh"),
        pytest.param(replace(FRESH, published_at=None), Action.NOTHING, id="not published yet"),
        pytest.param(replace(FRESH, authority_until=NOW), Action.CREATE, id="authority expired"),
        pytest.param(replace(FRESH, names_fit=False), Action.RENEW_LEAF, id="Service renamed"),
        pytest.param(
            replace(FRESH, leaf_from=NOW - 60 * DAY + SECOND, leaf_until=NOW + 30 * DAY + SECOND),
            Action.NOTHING,
            id="leaf with more than a third left",
        ),
        pytest.param(
            replace(FRESH, leaf_from=NOW - 60 * DAY, leaf_until=NOW + 30 * DAY),
            Action.RENEW_LEAF,
            id="leaf with a third left",
        ),
        pytest.param(replace(FRESH, leaf_until=NOW - SECOND), Action.RENEW_LEAF, id="leaf expired"),
        pytest.param(
            replace(FRESH, authority_from=NOW - 1000 * DAY, authority_until=NOW + 500 * DAY),
            Action.ADD_AUTHORITY,
            id="authority with a third left",
        ),
        pytest.param(ROTATING, Action.NOTHING, id="new authority not published yet"),
        pytest.param(
            replace(ROTATING, published_at=NOW - SETTLING + SECOND), Action.NOTHING, id="new authority just published"
        ),
        pytest.param(replace(ROTATING, published_at=NOW - SETTLING), Action.RENEW_LEAF, id="new authority settled"),
        pytest.param(replace(ROTATING, leaf_until=NOW), Action.RENEW_LEAF, id="leaf expired while not settled"),
        pytest.param(
            replace(FRESH, has_old_authorities=True, leaf_from=NOW - OVERLAP + SECOND),
            Action.NOTHING,
            id="new leaf is young: the old authority stays",
        ),
        pytest.param(
            replace(FRESH, has_old_authorities=True, leaf_from=NOW - OVERLAP),
            Action.DROP_OLD,
            id="new leaf is everywhere: the old authority goes",
        ),
    ],
)
def test_next_step(state: State | None, action: Action) -> None:
    assert plan(state, NOW) is action
