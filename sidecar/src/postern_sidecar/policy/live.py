"""The policy in force: this module holds it, swaps it whole, and lets what began under the old one end under it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from postern_sidecar.logs import get_logger
from postern_sidecar.policy.load import ConfigFault, Loaded

__all__ = ["Enforcement", "Live"]

_log = get_logger(__name__)


class Enforcement(Protocol):
    """A policy made ready to decide and to forward."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Keep keys and metadata fresh until cancelled."""

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Wait until nobody uses it any more, then free its connections."""


E = TypeVar("E", bound=Enforcement)


class Live(Generic[E]):
    """Holder of the one enforcement in force. Readers take ``current`` once a request and stay with it."""

    def __init__(self, build: Callable[[Loaded], E], *, on_change: Callable[[Loaded | ConfigFault], None]) -> None:
        self._build = build
        self._on_change = on_change
        self._changed = asyncio.Event()
        self._retired: list[E] = []
        self.current: E | None = None
        """None: no policy could be put in force since the start; every request gets 503."""
        self.fault: ConfigFault | None = None
        """Why the newest contents of the directory are not in force; None: they are."""

    def apply(self, outcome: Loaded | ConfigFault) -> None:
        """Put a policy in force, or note why the former one stays. Never raises for what the policy holds."""
        if isinstance(outcome, Loaded):
            try:
                built = self._build(outcome)
            except Exception as error:  # noqa: BLE001 - last line: no content of a file may end the process
                _log.exception("policy could not be built")
                policy = outcome.config.policy
                outcome = ConfigFault(policy.name, f"cannot be put in force ({error})", "see the log of the sidecar")
            else:
                self._swap(built, outcome)
        if isinstance(outcome, ConfigFault):
            self.fault = outcome
            _log.error("policy not usable", file=outcome.file, fault=outcome.fault, advice=outcome.advice)
        self._on_change(outcome)

    async def run(self) -> None:
        """Run the background work of whichever is in force, and end that of the former, until cancelled."""
        async with asyncio.TaskGroup() as group:
            task: asyncio.Task[None] | None = None
            while True:
                await self._changed.wait()
                self._changed.clear()
                if task is not None:
                    task.cancel()
                if self.current is not None:
                    task = group.create_task(_survive(self.current.run()))
                while self._retired:
                    group.create_task(_survive(self._retired.pop().aclose()))

    async def aclose(self) -> None:
        """Free everything, at the end."""
        for enforcement in (*self._retired, *([self.current] if self.current is not None else [])):
            await _survive(enforcement.aclose())

    def _swap(self, built: E, loaded: Loaded) -> None:
        if self.current is not None:
            self._retired.append(self.current)
        self.current = built
        self.fault = None
        self._changed.set()
        policy, config_hash = loaded.config.policy, loaded.config.hash
        name = f"{policy.namespace}/{policy.name}"
        _log.info("policy in force", policy=name, hash=config_hash, generation=policy.generation)


async def _survive(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # noqa: BLE001 - a background loop: requests are still decided, with the keys that are there
        _log.exception("background work of the policy ended")
