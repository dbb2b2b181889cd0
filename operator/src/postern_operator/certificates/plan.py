"""When certificates are replaced, and in which order: this module is that decision, pure.

A new authority is first added to the published bundle. Only when the bundle was seen in the webhook configuration for a
while does a leaf of the new authority take over, and only when every webhook pod has surely loaded that leaf is the old
authority dropped. So at no time does an API server meet a leaf that its bundle does not cover.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["OVERLAP", "SETTLING", "Action", "State", "plan"]

SETTLING = timedelta(minutes=10)
"""From seeing the bundle in the webhook configuration to the new leaf: every API server has it long since."""
OVERLAP = timedelta(hours=1)
"""From the new leaf to dropping the old authority: kubelets refresh a mounted Secret within two minutes."""


class Action(StrEnum):
    """The next step; each is one write of the Secret."""

    NOTHING = "Nothing"
    CREATE = "Create"
    """Make everything anew: there is nothing usable."""
    ADD_AUTHORITY = "AddAuthority"
    """Make a new authority and add it to the bundle; the leaf stays."""
    RENEW_LEAF = "RenewLeaf"
    """Make a new leaf, signed by the newest authority."""
    DROP_OLD = "DropOld"
    """Leave only the newest authority in the bundle."""


@dataclass(frozen=True, slots=True)
class State:
    """What the Secret holds. The newest authority is the one whose key is there."""

    authority_from: datetime
    authority_until: datetime
    leaf_from: datetime
    leaf_until: datetime
    names_fit: bool
    """The leaf is for the names of the Service as it is called now."""
    leaf_is_current: bool
    """The leaf is signed by the newest authority."""
    has_old_authorities: bool
    published_at: datetime | None
    """When a bundle with the newest authority was first seen in the webhook configuration; None: not yet."""


def plan(state: State | None, now: datetime) -> Action:
    """Give the next step. ``state`` is None when the Secret is absent or unusable."""
    if state is None or now >= state.authority_until:
        return Action.CREATE
    settled = state.published_at is not None and now >= state.published_at + SETTLING
    if not state.leaf_is_current:
        # An expired leaf is refused everywhere; one of an unsettled authority at least not for long.
        return Action.RENEW_LEAF if settled or now >= state.leaf_until else Action.NOTHING
    if not state.names_fit or _is_due(state.leaf_from, state.leaf_until, now):
        return Action.RENEW_LEAF
    if state.has_old_authorities:
        return Action.DROP_OLD if now >= state.leaf_from + OVERLAP else Action.NOTHING
    if _is_due(state.authority_from, state.authority_until, now):
        return Action.ADD_AUTHORITY
    return Action.NOTHING


def _is_due(begin: datetime, end: datetime, now: datetime) -> bool:
    """Tell whether only a third of the lifetime is left."""
    return end - now <= (end - begin) / 3
