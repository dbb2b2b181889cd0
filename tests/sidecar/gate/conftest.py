"""Doors to the fake issuer."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.sidecar.gate.door import Door, config_for
from tests.support.fake_issuer import FakeIssuer
from tests.support.tokens import SigningPair

MakeDoor = Callable[..., Door]


@pytest.fixture
async def make_door(fake_issuer: FakeIssuer, rsa_pair: SigningPair) -> AsyncIterator[MakeDoor]:
    """Makes a door for a policy with changes, such as server={"path": "/api"}."""
    made: list[Door] = []

    def _make(**changes: dict[str, Any]) -> Door:
        made.append(Door(fake_issuer, rsa_pair, config_for(fake_issuer, **changes)))
        return made[-1]

    yield _make
    for door in made:
        await door.gate.aclose()


@pytest.fixture
def door(make_door: MakeDoor) -> Door:
    """A door for the plain policy."""
    return make_door()
