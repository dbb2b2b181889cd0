"""What the controller does for ever: this module joins triggers, sweeps and passes over one queue."""

import asyncio
import contextlib
import random
import time

import structlog

from postern_operator.cluster import Cluster
from postern_operator.controller.reconcile import Reconciler
from postern_operator.controller.schedule import Outcome
from postern_operator.controller.snapshot import Observed, Snapshot, read_live, read_snapshot
from postern_operator.controller.triggers import Change, Key, Triggers
from postern_operator.controller.work_queue import Queue
from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict
from postern_operator.metrics import Metrics

__all__ = ["Loops"]

_LOG = structlog.stdlib.get_logger("postern.controller")
_WORKERS = 8
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 30.0
_SAMPLE_S = 5.0
_OUTAGE_SILENCE_S = 10.0


class Loops:
    """The controller's work: passes over single policies when something happens, over all of them now and then."""

    def __init__(self, cluster: Cluster, reconciler: Reconciler, metrics: Metrics, *, resync_s: float) -> None:
        self._cluster = cluster
        self._reconciler = reconciler
        self._metrics = metrics
        self._resync_s = resync_s
        self._queue: Queue[Key] = Queue(self._process)
        self._triggers = Triggers(self._notify)
        self._snapshots: dict[Key, Snapshot] = {}
        self._touched: set[Key] = set()
        self._swept_at: float | None = None
        self._outage_untold_until = 0.0
        self._hurry = asyncio.Event()
        self.first_sweep = asyncio.Event()
        """Set when the cluster was read completely for the first time: the CRD exists and the rights suffice."""

    def report(self, change: Change, is_gone: bool) -> None:
        """Take a change from a watch. Call it in the event loop's thread."""
        if is_gone:
            self._triggers.gone(change)
        else:
            self._triggers.changed(change)

    def not_ready(self) -> str:
        """Give why the controller is not ready (a health.Readiness)."""
        if self._swept_at is None:
            return "the cluster was not read yet"
        age_s = time.monotonic() - self._swept_at
        return f"the cluster was last read {age_s:.0f} s ago" if age_s > 3 * self._resync_s else ""

    def sweep_soon(self) -> None:
        """Let the next sweep begin now: something changed that concerns all policies."""
        self._hurry.set()

    async def work(self) -> None:
        """Serve the queue until cancelled."""
        await self._queue.run(_WORKERS)

    async def sweep(self) -> None:
        """Read the whole cluster now and then, and let every policy be looked at, until cancelled.

        Heals what a watch missed. A policy that is as it should be costs no call to the API server.
        """
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                await self._sweep_once()
            except (ClusterUnavailable, ClusterError) as error:
                _LOG.warning("the cluster could not be read; trying again", error=str(error))
                await asyncio.sleep(retry_s)
                retry_s = min(_LAST_RETRY_S, retry_s * 2)
                continue
            retry_s = _FIRST_RETRY_S
            pause_s = self._resync_s * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load, no secret
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause_s)

    async def sample(self) -> None:
        """Keep the queue's gauges fresh until cancelled."""
        while True:
            self._metrics.queue_depth.set(self._queue.depth())
            self._metrics.queue_retrying.set(self._queue.retrying())
            await asyncio.sleep(_SAMPLE_S)

    async def _sweep_once(self) -> None:
        began = time.monotonic()
        self._hurry.clear()
        self._touched.clear()
        snapshot = await read_snapshot(self._cluster)
        self._triggers.learn(snapshot.changes)
        for key in list(snapshot.policies):
            # What changed while the lists were read may be newer than the snapshot: that is read live.
            if key not in self._touched:
                self._snapshots[key] = snapshot
            self._queue.add(key)
        self._swept_at = time.monotonic()
        self._metrics.sweep_seconds.set(self._swept_at - began)
        self._metrics.sweep_timestamp.set_to_current_time()
        self.first_sweep.set()

    def _notify(self, key: Key) -> None:
        self._touched.add(key)
        self._snapshots.pop(key, None)
        self._queue.add(key)

    async def _process(self, key: Key) -> Outcome:
        with self._metrics.reconcile_seconds.time(), structlog.contextvars.bound_contextvars(policy="/".join(key)):
            outcome = await self._guarded(key)
        self._metrics.reconciles.labels(outcome.value).inc()
        return outcome

    async def _guarded(self, key: Key) -> Outcome:
        try:
            seen = await self._read(key)
            return Outcome.SETTLED if seen is None else await self._reconciler.reconcile(seen)
        except Conflict as error:
            _LOG.info("somebody else wrote meanwhile; looking again", error=str(error))
            return Outcome.CONFLICT
        except ClusterError as error:
            _LOG.warning("the API server refused", error=str(error))
            return Outcome.REFUSED
        except ClusterUnavailable as error:
            self._tell_outage(error)
            return Outcome.UNAVAILABLE
        except Exception:  # noqa: BLE001 - a worker must outlive a defect that one policy brings to light
            _LOG.exception("a pass failed")
            return Outcome.FAILED

    def _tell_outage(self, error: ClusterUnavailable) -> None:
        """Log an outage, but not once for each of thousands of policies."""
        now = time.monotonic()
        if now >= self._outage_untold_until:
            self._outage_untold_until = now + _OUTAGE_SILENCE_S
            _LOG.warning("the API server is unavailable; passes are put off", error=str(error))

    async def _read(self, key: Key) -> Observed | None:
        snapshot = self._snapshots.pop(key, None)
        seen = None if snapshot is None else snapshot.take(key)
        return seen or await read_live(self._cluster, key)
