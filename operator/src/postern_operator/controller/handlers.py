"""What kopf tells and how it is set up: this module turns watch events into changes, and decides nothing."""

import asyncio
import datetime
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf

from postern_crds.v1alpha1 import GROUP, PLURAL, VERSION
from postern_operator import names
from postern_operator.cluster import Connection
from postern_operator.controller.triggers import Change, pod_change, policy_change
from postern_operator.errors import PosternError

__all__ = ["Backoffs", "Report", "operator_settings", "register"]

Report = Callable[[Change, bool], None]
"""Told of each change, and whether the object is gone. Called in kopf's thread."""

_CREDENTIALS_LIFETIME = datetime.timedelta(minutes=10)
_LOGIN_PAUSE_S = 1.0
_LOGIN_RETRY_S = 5.0
_LAST_BACKOFF_S = 30.0


class Backoffs:
    """Pauses between attempts, without end: kopf's own list ends, and the process with it, after a minute's outage.

    Iterated anew for each request; a generator would be used up by the first.
    """

    def __iter__(self) -> Iterator[float]:
        for attempt in itertools.count():
            yield min(_LAST_BACKOFF_S, 2.0 ** min(attempt, 10)) * random.uniform(0.5, 1)  # noqa: S311 - not for secrets


def operator_settings() -> kopf.OperatorSettings:
    """Give kopf's settings: nothing it could write, everything bounded, never giving up."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = True  # the CRD is known to exist when kopf starts; no right to list CRDs is needed
    settings.posting.enabled = False  # Events are ours
    settings.queueing.idle_timeout = 0.1  # seconds that the task of one object lingers: memory at start
    settings.queueing.worker_limit = 200
    settings.watching.server_timeout = random.randint(290, 590)  # noqa: S311 - spreads reconnects, not for secrets
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.watching.label_selectors["", "v1", "pods"] = f"{names.INJECT_LABEL}={names.INJECT_VALUE}"
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = Backoffs()
    settings.execution.max_workers = 1  # no handler is synchronous
    settings.process.ultimate_exiting_timeout = None  # it would kill the process; our own stop is bounded
    return settings


def register(registry: kopf.OperatorRegistry, report: Report, login: Callable[[], Awaitable[Connection]]) -> None:
    """Register the handlers: two watches as triggers and the login."""
    logins = itertools.count()

    async def authenticate(**_: Any) -> kopf.ConnectionInfo:
        if next(logins):
            await asyncio.sleep(_LOGIN_PAUSE_S)  # after a 401: the same token may be good again a moment later
        try:
            return _connection_info(await login(), datetime.datetime.now(datetime.UTC))
        except (OSError, PosternError) as error:
            raise kopf.TemporaryError(str(error), delay=_LOGIN_RETRY_S) from error

    async def on_policy(event: kopf.RawEvent, **_: Any) -> None:
        report(policy_change(dict(event["object"])), event["type"] == "DELETED")

    async def on_pod(event: kopf.RawEvent, **_: Any) -> None:
        report(pod_change(dict(event["object"])), event["type"] == "DELETED")

    kopf.on.login(registry=registry, id="credentials")(authenticate)
    kopf.on.event(GROUP, VERSION, PLURAL, registry=registry, id="policies")(on_policy)
    kopf.on.event("", "v1", "pods", registry=registry, id="pods")(on_pod)


def _connection_info(connection: Connection, now: datetime.datetime) -> kopf.ConnectionInfo:
    """Give kopf the credentials. The expiry makes each login's differ: kopf gives up on any that failed before."""
    return kopf.ConnectionInfo(
        server=connection.server,
        ca_path=connection.ca_path,
        insecure=connection.insecure,
        scheme=connection.scheme,
        token=connection.token,
        certificate_path=connection.certificate_path,
        private_key_path=connection.private_key_path,
        expiration=now + _CREDENTIALS_LIFETIME,
    )
