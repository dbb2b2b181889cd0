"""What the tests of the facade share."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.sidecar.facade.building import NOW
from tests.sidecar.facade.scene import UPSTREAM_VERIFIER, VERIFIER, Scene
from tests.support.fake_idp import FakeIdp
from tests.support.logs import EventDict, capture_logs
from tests.support.tokens import SigningPair

SceneMaker = Callable[..., Scene]


@pytest.fixture
def idp(rsa_pair: SigningPair) -> Iterator[FakeIdp]:
    with FakeIdp(rsa_pair, now=lambda: NOW) as provider:
        yield provider


@pytest.fixture
async def make_scene(idp: FakeIdp) -> AsyncIterator[SceneMaker]:
    """Makes facades in front of idp."""
    made: list[Scene] = []

    def make(**changes: Any) -> Scene:
        made.append(Scene.make(idp, **changes))
        return made[-1]

    yield make
    for scene in made:
        await scene.aclose()


@pytest.fixture
async def scene(make_scene: SceneMaker) -> Scene:
    return make_scene()


@pytest.fixture
def logged(idp: FakeIdp) -> Iterator[list[EventDict]]:
    """The log lines; at the end none of them may hold a secret."""
    with capture_logs() as lines:
        yield lines
    text = json.dumps(lines, default=str)
    for secret in (*idp.secrets(), VERIFIER, UPSTREAM_VERIFIER):
        assert secret not in text
