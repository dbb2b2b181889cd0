"""What the controller's tests share: a reconciler in front of the fake API server, and a sidecar that answers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from postern_operator.cluster import Cluster
from postern_operator.controller.master_keys import MasterKeys
from postern_operator.controller.reconcile import Reconciler
from postern_operator.controller.recorder import Recorder
from postern_operator.controller.schedule import Outcome
from postern_operator.controller.sidecars import Sidecars
from postern_operator.controller.snapshot import read_live
from postern_operator.metrics import metrics
from tests.operator.controller.objects import SETTINGS
from tests.operator.controller.sidecar import FakeSidecar, fake_sidecar


@dataclass(slots=True)
class Clock:
    """The time of all passes; tests move it."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> str:
        return self.time.strftime("%Y-%m-%dT%H:%M:%SZ")

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


Pass = Callable[[], Awaitable[Outcome | None]]


@pytest.fixture
async def sidecar() -> AsyncIterator[FakeSidecar]:
    async with fake_sidecar() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(api: Cluster, clock: Clock) -> MasterKeys:
    return MasterKeys(api, SETTINGS.namespace, now=clock.now)


@pytest.fixture
def reconciler(api: Cluster, sidecar: FakeSidecar, keys: MasterKeys, clock: Clock) -> Reconciler:
    return Reconciler(
        cluster=api,
        sidecars=Sidecars(sidecar.port, timeout_s=0.2),
        recorder=Recorder(api, metrics(), "test"),
        settings=SETTINGS,
        keys=keys,
        now=clock.now,
    )


@pytest.fixture
def one_pass(api: Cluster, reconciler: Reconciler) -> Pass:
    """Read the policy weather live and do one pass; None when it does not exist."""

    async def run() -> Outcome | None:
        seen = await read_live(api, ("team-a", "weather"))
        return None if seen is None else await reconciler.reconcile(seen)

    return run
