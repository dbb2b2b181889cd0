import itertools
from typing import Any

import kopf
import pytest
from kopf._core.intents.causes import Activity

from postern_operator.cluster import Connection
from postern_operator.controller.handlers import Backoffs, operator_settings, register
from postern_operator.controller.triggers import Change
from postern_operator.errors import SettingsError

CONNECTION = Connection("https://api", "/ca.crt", False, "Bearer", "secret", None, None)


Reported = list[tuple[Change, bool]]


def registered(connection: Connection | Exception = CONNECTION) -> tuple[kopf.OperatorRegistry, Reported]:
    registry, reported = kopf.OperatorRegistry(), Reported()

    async def login() -> Connection:
        if isinstance(connection, Exception):
            raise connection
        return connection

    register(registry, lambda change, is_gone: reported.append((change, is_gone)), login)
    return registry, reported


def handler(registry: kopf.OperatorRegistry, name: str) -> Any:
    return next(h for h in registry._watching.get_all_handlers() if h.id == name)


def login_of(registry: kopf.OperatorRegistry) -> Any:
    (found,) = registry._activities.get_handlers(activity=Activity.AUTHENTICATION)
    return found.fn


def test_only_two_watches_are_registered_and_nothing_that_writes() -> None:
    registry, _ = registered()
    watched = {str(h.selector) for h in registry._watching.get_all_handlers()}
    assert len(watched) == 2
    assert {h.id for h in registry._watching.get_all_handlers()} == {"policies", "pods"}
    for part in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(part.get_all_handlers()) == []


async def test_policy_event_becomes_a_change_of_its_key() -> None:
    registry, reported = registered()
    metadata = {"name": "weather", "namespace": "team-a", "uid": "u", "generation": 1}
    for kind in ("ADDED", "DELETED"):
        event = {"type": kind, "object": {"metadata": metadata}}
        assert await handler(registry, "policies").fn(event=event, logger=None) is None
    assert [(change[:2], is_gone) for change, is_gone in reported] == [
        (("u", ("team-a", "weather")), False),
        (("u", ("team-a", "weather")), True),
    ]


async def test_pod_event_becomes_a_change_of_the_policy_that_it_names() -> None:
    registry, reported = registered()
    metadata = {"name": "p", "namespace": "team-a", "uid": "u", "annotations": {"postern.dev/policy": "weather"}}
    await handler(registry, "pods").fn(event={"type": None, "object": {"metadata": metadata}}, logger=None)
    assert reported[0][0][1] == ("team-a", "weather")


async def test_each_login_differs_so_that_kopf_takes_it_after_a_refusal() -> None:
    registry, _ = registered()
    login = login_of(registry)
    first, second = await login(), await login()
    assert (first.server, first.scheme, first.token, first.ca_path) == ("https://api", "Bearer", "secret", "/ca.crt")
    assert first != second


async def test_login_that_fails_is_tried_again() -> None:
    registry, _ = registered(SettingsError("no token"))
    login = login_of(registry)
    with pytest.raises(kopf.TemporaryError, match="no token"):
        await login()


def test_backoffs_never_end_and_start_anew_for_each_request() -> None:
    backoffs = Backoffs()
    first = list(itertools.islice(backoffs, 100))
    assert len(first) == 100
    assert max(first) <= 30
    assert next(iter(backoffs)) <= 1


def test_pods_are_selected_by_the_server() -> None:
    selectors = operator_settings().watching.label_selectors
    assert list(selectors.values()) == ["postern.dev/inject=true"]


def test_kopf_never_posts_nor_peers_nor_scans() -> None:
    settings = operator_settings()
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled
