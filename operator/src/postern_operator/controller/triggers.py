"""Which watch events are worth a pass: this module compares what matters of an object with what was last seen of it."""

from collections.abc import Callable, Iterable
from typing import Any

from postern_operator import names

__all__ = ["Change", "Key", "Triggers", "pod_change", "policy_change"]

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of a policy."""
Change = tuple[str, Key | None, int]
"""Uid of an object, the policy it concerns (None: none), and a fingerprint of what matters of it."""


def policy_change(policy: Object) -> Change:
    """Give what matters of a policy: its generation, so that our own status writes are no news."""
    metadata = policy["metadata"]
    key = (metadata["namespace"], metadata["name"])
    return metadata["uid"], key, hash((metadata.get("generation"), metadata.get("deletionTimestamp")))


def pod_change(pod: Object) -> Change:
    """Give what matters of a pod: its policy, whether and where it runs, and whether it is ready."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    name = (metadata.get("annotations") or {}).get(names.POLICY_ANNOTATION)
    ready = [c.get("status") for c in status.get("conditions") or [] if c.get("type") == "Ready"]
    started = [(c.get("ready"), c.get("restartCount")) for c in status.get("initContainerStatuses") or []]
    matters = (name, metadata.get("deletionTimestamp"), status.get("phase"), status.get("podIP"), *ready, *started)
    return metadata["uid"], (metadata["namespace"], name) if name else None, hash(matters)


class Triggers:
    """Remembers one number for each object, so that a list read again after a lost watch is no news by itself."""

    def __init__(self, notify: Callable[[Key], None]) -> None:
        self._notify = notify
        self._seen: dict[str, int] = {}

    def learn(self, changes: Iterable[Change]) -> None:
        """Take what a complete list holds as seen, and forget every other object."""
        self._seen = {uid: fingerprint for uid, _, fingerprint in changes}

    def changed(self, change: Change) -> None:
        """Notify if this is news."""
        uid, key, fingerprint = change
        if self._seen.get(uid) == fingerprint:
            return
        self._seen[uid] = fingerprint
        if key is not None:
            self._notify(key)

    def gone(self, change: Change) -> None:
        """Notify of a deleted object."""
        self._seen.pop(change[0], None)
        if change[1] is not None:
            self._notify(change[1])
