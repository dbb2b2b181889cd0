"""Events that users see with ``kubectl describe``: this module is how one is written and sent, at most once."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from postern_operator.cluster import Cluster
from postern_operator.errors import ClusterError, ClusterUnavailable
from postern_operator.metrics import Metrics
from postern_operator.status.events import Event

__all__ = ["Recorder", "event_object"]

_CONTROLLER = "postern.dev/controller"
_MAX_NOTE = 1024
"""Bytes that events.k8s.io/v1 allows in a note."""
_LOG = structlog.stdlib.get_logger("postern.events")


class Recorder:
    """Sends Events about policies. An Event that cannot be sent is counted and given up: status tells the same."""

    def __init__(self, cluster: Cluster, metrics: Metrics, instance: str) -> None:
        self._cluster = cluster
        self._dropped = metrics.events_dropped
        self._instance = instance

    async def record(self, policy: dict[str, Any], events: Sequence[Event]) -> None:
        """Send the Events."""
        for event in events:
            body = event_object(policy, event, self._instance, datetime.now(UTC))
            try:
                await self._cluster.create_event(body)
            except (ClusterError, ClusterUnavailable) as error:
                self._dropped.inc()
                _LOG.warning("event not sent", reason=event.reason, error=str(error))


def event_object(policy: dict[str, Any], event: Event, instance: str, now: datetime) -> dict[str, Any]:
    """Give the Event (events.k8s.io/v1) of something that happened to a policy."""
    metadata = policy["metadata"]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": event.type,
        "reason": event.reason,
        "note": event.message.encode()[:_MAX_NOTE].decode(errors="ignore"),
        "action": "Reconcile",
        "reportingController": _CONTROLLER,
        "reportingInstance": instance[:128],
        "regarding": {
            "apiVersion": policy["apiVersion"],
            "kind": policy["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }
