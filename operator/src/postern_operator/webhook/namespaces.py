"""Namespaces, remembered for some seconds: this module is the webhook's only cache.

It is safe because their labels only make a refusal friendlier: whether a pod may use NET_ADMIN is decided by the API
server's own PodSecurity admission after us. Policies are never cached, since they decide whether a pod is protected.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from postern_operator.webhook.shared_reads import SharedReads

__all__ = ["Namespaces"]

Object = dict[str, Any]
_LIFETIME_S = 10.0
_MAX_ENTRIES = 1024


class Namespaces:
    """Reads Namespaces, each at most once in some seconds; what does not exist is not remembered."""

    def __init__(self, read: Callable[[str], Awaitable[Object | None]], clock: Callable[[], float]) -> None:
        self._reads = SharedReads(read)
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, Object]] = OrderedDict()

    async def get(self, name: str) -> Object | None:
        """Give a Namespace; None when it does not exist. Raises what the read raises."""
        until, known = self._entries.get(name, (0.0, {}))
        if self._clock() < until:
            return known
        found = await self._reads.get(name)
        if found is not None:
            self._entries[name] = (self._clock() + _LIFETIME_S, found)
            self._entries.move_to_end(name)
            if len(self._entries) > _MAX_ENTRIES:
                self._entries.popitem(last=False)
        return found
