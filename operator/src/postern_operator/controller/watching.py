"""kopf in a thread of its own: this module keeps its signals, task clean-up and stalls apart from ours."""

import asyncio
import threading

import kopf
import structlog

from postern_operator.errors import PosternError
from postern_operator.serving import is_first

__all__ = ["WatchEnded", "keep_watching", "watch"]

_STOP_TIMEOUT_S = 12.0
_POLL_S = 0.1
_CALM_S = 60.0
"""After so long without a failure the next one counts as the first."""
_FAILURES = 3
"""So many in a row are borne; then the process ends, and Kubernetes starts it anew."""
_LOG = structlog.stdlib.get_logger("postern.controller")


class WatchEnded(PosternError):
    """Raised when kopf ended without being asked to; the process should start anew."""


async def keep_watching(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, *, stop: asyncio.Event
) -> None:
    """Run kopf until ``stop``, anew when it ends by itself. Raises WatchEnded when it fails again and again.

    kopf closes its session to log in anew, after a 401 say; a request of another watch may then fail for good.
    """
    failures = 0
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await watch(registry, settings, stop=stop)
        except WatchEnded as error:
            failures = failures + 1 if asyncio.get_running_loop().time() - began < _CALM_S else 1
            if failures > _FAILURES:
                raise
            _LOG.warning("watching starts anew", cause=str(error))
        else:
            return


async def watch(registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, *, stop: asyncio.Event) -> None:
    """Run kopf until ``stop``. Handlers run in the other thread. Raises WatchEnded when it ends by itself.

    A thread that does not stop in time is left behind: it is a daemon and holds nothing that needs an orderly end.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    flag = threading.Event()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(_operate(registry, settings, flag))
        except Exception as error:  # noqa: BLE001 - last line of the thread: told to the loop that waits below
            failure.append(error)
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=run, name="kopf", daemon=True).start()
    try:
        if await is_first(ended, stop):
            cause = failure[0] if failure else None
            raise WatchEnded(f"kopf ended by itself: {cause!r}") from cause
    finally:
        flag.set()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await ended.wait()
    except TimeoutError:
        return


async def _operate(registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, flag: threading.Event) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        follower = tasks.create_task(_follow(flag, stop))
        try:
            await kopf.operator(registry=registry, settings=settings, clusterwide=True, stop_flag=stop)
        finally:
            follower.cancel()


async def _follow(flag: threading.Event, stop: asyncio.Event) -> None:
    """Bring the flag into kopf's loop. Given a threading.Event, kopf would wait in a thread that nothing can cancel."""
    while not flag.is_set():  # noqa: ASYNC110 - set from another thread
        await asyncio.sleep(_POLL_S)
    stop.set()
