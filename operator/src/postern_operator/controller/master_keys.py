"""The master keys in the cluster: this module reads their Secret, makes the first one, and notices when they change."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from typing import Any

import structlog

from postern_crds.key_ring import SECRET_BYTES
from postern_operator import names
from postern_operator.cluster import Cluster
from postern_operator.controller.clock import epoch_seconds, utc_now
from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict
from postern_operator.policy.keyring import Master, master_name, read_masters

__all__ = ["MasterKeys"]

_LOG = structlog.stdlib.get_logger("postern.keys")
_FRESH_S = 60
"""How long what was read is trusted: a tenth of keyring.LEAD_S, in which a new key must reach every pod."""


class MasterKeys:
    """Keeps the master keys for all passes, so that a pass costs no call.

    The Secret is read by its name in the operator's own namespace. It is made when a policy needs a key and it does not
    exist; deleting it therefore makes everything void that was sealed, and everybody logs in anew.
    """

    def __init__(self, cluster: Cluster, namespace: str, *, now: Callable[[], str] = utc_now) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._now = now
        self._lock = asyncio.Lock()
        self._keys: tuple[Master, ...] = ()
        self._read_at: int | None = None
        self._version = 0

    @property
    def place(self) -> str:
        """The Secret, for messages."""
        return f"Secret {self._namespace}/{names.MASTER_KEYS_SECRET}"

    async def current(self) -> tuple[Master, ...]:
        """Give the master keys, oldest first; none when the Secret exists but holds no usable one.

        Raises ClusterError and ClusterUnavailable.
        """
        async with self._lock:
            now = epoch_seconds(self._now())
            if self._read_at is None or not 0 <= now - self._read_at < _FRESH_S:
                self._take(await self._read_or_create(now), now)
        return self._keys

    async def follow(self, changed: Callable[[], None], *, period_s: float = _FRESH_S) -> None:
        """Look for changes now and then, once a policy has needed the keys, and tell of them; until cancelled."""
        known = self._version
        while True:
            await asyncio.sleep(period_s)
            if self._read_at is None:
                continue
            try:
                await self.current()
            except (ClusterError, ClusterUnavailable) as error:
                _LOG.warning("the master keys could not be read; trying again", error=str(error))
            if known != self._version:
                known = self._version
                changed()

    def _take(self, secret: dict[str, Any], now: int) -> None:
        found = read_masters(secret.get("data") or {})
        if found.unusable:
            _LOG.error(
                "entries that are no master keys are left out: each must be named by its UTC time of creation, such as "
                "20261121T120000Z, and hold 32 bytes",
                secret=self.place,
                entries=found.unusable,
            )
        if found.keys != self._keys:
            self._version += self._read_at is not None
            _LOG.info("master keys in use", secret=self.place, keys=[key.name for key in found.keys])
        self._keys, self._read_at = found.keys, now

    async def _read_or_create(self, now: int) -> dict[str, Any]:
        present = await self._cluster.get_secret(self._namespace, names.MASTER_KEYS_SECRET)
        if present is not None:
            return present
        first = self._first(now)
        try:
            await self._cluster.write_secret(first)
        except Conflict:
            # Another controller was faster, and its key counts.
            return await self._cluster.get_secret(self._namespace, names.MASTER_KEYS_SECRET) or {}
        _LOG.warning(
            "master key created; keep a copy of the Secret, everything that is sealed depends on it", secret=self.place
        )
        return first

    def _first(self, now: int) -> dict[str, Any]:
        secret = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            # Without the label of managed objects: administrators add keys to it and take keys away.
            "metadata": {"name": names.MASTER_KEYS_SECRET, "namespace": self._namespace},
            "data": {master_name(now): secret},
        }
