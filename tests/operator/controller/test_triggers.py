from typing import Any

import pytest

from postern_operator.controller.triggers import Triggers, pod_change, policy_change
from tests.operator.controller.objects import guarded_pod, policy


def stored(value: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    head = {"name": "weather", "namespace": "team-a", "uid": "u1", "generation": 1}
    return value | {"metadata": head | value.get("metadata", {}) | metadata}


def notified(*events: dict[str, Any]) -> int:
    found: list[object] = []
    triggers = Triggers(found.append)
    for event in events:
        triggers.changed(policy_change(event))
    return len(found)


def test_new_policy_is_news_once() -> None:
    assert notified(stored(policy()), stored(policy())) == 1


def test_our_own_status_write_is_no_news() -> None:
    assert notified(stored(policy()), stored(policy()) | {"status": {"configHash": "x"}}) == 1


def test_new_generation_is_news() -> None:
    assert notified(stored(policy()), stored(policy(), generation=2)) == 2


def test_deletion_mark_is_news() -> None:
    assert notified(stored(policy()), stored(policy(), deletionTimestamp="2026-01-01T00:00:00Z")) == 2


def test_recreated_policy_is_news() -> None:
    assert notified(stored(policy()), stored(policy(), uid="u2")) == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"phase": "Failed"}, id="phase"),
        pytest.param({"podIP": "10.0.0.2"}, id="address"),
        pytest.param({"conditions": [{"type": "Ready", "status": "True"}]}, id="readiness"),
        pytest.param({"initContainerStatuses": [{"name": "postern", "restartCount": 1}]}, id="restart"),
    ],
)
def test_pod_change_that_matters_is_news(change: dict[str, Any]) -> None:
    before = stored(guarded_pod())
    found: list[object] = []
    triggers = Triggers(found.append)
    triggers.changed(pod_change(before))
    triggers.changed(pod_change(before | {"status": before["status"] | change}))
    assert found == [("team-a", "weather")] * 2


def test_pod_without_a_policy_concerns_nobody() -> None:
    found: list[object] = []
    Triggers(found.append).changed(pod_change(stored({"metadata": {}})))
    assert found == []


def test_what_a_complete_list_held_is_no_news() -> None:
    found: list[object] = []
    triggers = Triggers(found.append)
    triggers.learn([policy_change(stored(policy()))])
    triggers.changed(policy_change(stored(policy())))
    assert found == []


def test_gone_pod_is_news() -> None:
    found: list[object] = []
    triggers = Triggers(found.append)
    triggers.learn([pod_change(stored(guarded_pod()))])
    triggers.gone(pod_change(stored(guarded_pod())))
    assert found == [("team-a", "weather")]
