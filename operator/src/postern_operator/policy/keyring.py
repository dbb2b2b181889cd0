"""From the operator's master keys to the key ring of one policy: this module is that derivation.

Time is cut into epochs of 90 days. Each master key has a key of its own for each policy and epoch, and each of these
seals for a stretch of time that is its alone: it begins with the epoch, or when the master key takes over from an
older one, and ends where the next begins. A ring holds the keys of eight epochs: the next one's, long before it seals,
so that every replica has it by then; the present one's; and six older ones, which only open.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from postern_crds.key_ring import MAX_KEYS, SECRET_BYTES, KeyRing, RingKey, encode, encode_secret

__all__ = ["EPOCHS", "EPOCH_S", "LEAD_S", "Master", "Masters", "master_name", "read_masters", "ring", "ring_hash"]

EPOCH_S = 90 * 24 * 3600
"""Length of an epoch; epoch 0 began with 1970."""
EPOCHS = 8
"""In a ring: the next, the present and six older ones. What is sealed can so be opened for 540 days at least."""
LEAD_S = 600
"""Between the creation of a further master key and its first use: every replica must have it by then."""
_NAME = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_NAME_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Master:
    """One master key."""

    name: str
    """Time of its creation, UTC, such as 20261121T120000Z."""
    secret: bytes
    """32 random bytes."""

    @property
    def created(self) -> int:
        """Time of its creation in epoch seconds."""
        return _time(self.name)


@dataclass(frozen=True, slots=True)
class Masters:
    """What the Secret with the master keys holds."""

    keys: tuple[Master, ...]
    """Oldest first."""
    unusable: tuple[str, ...] = ()
    """Names of entries that are no key."""


def master_name(now: int) -> str:
    """Give the name of a master key that is created now."""
    return datetime.fromtimestamp(now, UTC).strftime(_NAME_FORMAT)


def read_masters(data: Mapping[str, Any]) -> Masters:
    """Read the ``data`` of the Secret: names to 32 bytes in base64."""
    found = {name: _secret(name, value) for name, value in sorted(data.items())}
    keys = tuple(Master(name, secret) for name, secret in found.items() if secret is not None)
    return Masters(keys, tuple(name for name, secret in found.items() if secret is None))


def ring(masters: Sequence[Master], policy_uid: str, now: int) -> KeyRing:
    """Give the ring of the policy with this uid, oldest key first. ``now`` is in epoch seconds.

    Raises ValueError without a master key: an empty ring would seal nothing.
    """
    if not masters:
        raise ValueError("there is no master key")
    present = now // EPOCH_S
    epochs = range(present - EPOCHS + 2, present + 2)
    keys = [key for span in _reigns(masters) for key in _keys(span, policy_uid, epochs)]
    # So many only after dozens of rotations; what was sealed by the oldest of them has to be renewed then.
    return KeyRing(keys=tuple(keys[-MAX_KEYS:]))


def ring_hash(keys: KeyRing) -> str:
    """Give the hex SHA-256 (first 16 digits) of a ring. It tells nothing of keys of 256 random bits."""
    return hashlib.sha256(encode(keys).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class _Reign:
    """The time in which a master key is the one that seals."""

    master: Master
    start: float
    end: float


def _reigns(masters: Sequence[Master]) -> Iterator[_Reign]:
    """Give each master key's time. The first reigns from the beginning: there is nobody who would not have it."""
    ordered = sorted(masters, key=lambda master: master.name)
    starts = [float("-inf"), *(float(master.created + LEAD_S) for master in ordered[1:]), float("inf")]
    for master, (start, end) in zip(ordered, pairwise(starts), strict=True):
        yield _Reign(master, start, end)


def _keys(reign: _Reign, policy_uid: str, epochs: range) -> Iterator[RingKey]:
    """Give the keys of those epochs in which the master key reigns at all: one that never seals has nothing to open."""
    for epoch in epochs:
        not_before = max(epoch * EPOCH_S, reign.start)
        if not_before < min((epoch + 1) * EPOCH_S, reign.end):
            yield RingKey(
                kid=f"{reign.master.name}-{epoch}",
                secret=encode_secret(_derived(reign.master, policy_uid, epoch)),
                not_before=int(not_before),
            )


def _derived(master: Master, policy_uid: str, epoch: int) -> bytes:
    info = f"postern/ring/v1/{policy_uid}/{epoch}"
    return HKDF(SHA256(), SECRET_BYTES, salt=None, info=info.encode()).derive(master.secret)


def _secret(name: str, value: Any) -> bytes | None:
    """Give a master key's bytes; None for anything else."""
    try:
        _time(name)
        secret = base64.b64decode(value, validate=True)
    except (ValueError, TypeError, binascii.Error):
        return None
    return secret if len(secret) == SECRET_BYTES else None


def _time(name: str) -> int:
    """Give the epoch seconds that a name stands for. Raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a time such as 20261121T120000Z")
    return int(datetime.strptime(name, _NAME_FORMAT).replace(tzinfo=UTC).timestamp())
