from typing import Any

import pytest

from postern_operator.controller.unlabelled import lacks_labelled_pods, unlabelled_selector

NOT_OURS = "postern.dev/inject!=true"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param({"matchLabels": {"a": "1", "b": "2"}}, f"a=1,b=2,{NOT_OURS}", id="labels"),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]},
            f"a in (1,2),{NOT_OURS}",
            id="in",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]},
            f"a notin (1),{NOT_OURS}",
            id="not in",
        ),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, f"a,{NOT_OURS}", id="exists"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, f"!a,{NOT_OURS}", id="absent"),
    ],
)
def test_selector_of_unlabelled_pods(selector: dict[str, Any], expected: str) -> None:
    assert unlabelled_selector({"spec": {"selector": selector}}) == expected


def _workload(status: dict[str, int]) -> dict[str, Any]:
    return {"spec": {"selector": {"matchLabels": {"app": "weather"}}}, "status": status}


def _pod(app: str = "weather", **status: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": app, "postern.dev/inject": "true"}}, "status": status}


@pytest.mark.parametrize(
    ("status", "labelled", "lacking"),
    [
        pytest.param({"replicas": 2}, [_pod(), _pod()], False, id="all labelled"),
        pytest.param({"replicas": 2}, [_pod()], True, id="one is not"),
        pytest.param({"replicas": 2}, [_pod(), _pod("job")], True, id="a Job's pod does not stand in"),
        pytest.param({"replicas": 2}, [_pod(), _pod(phase="Succeeded")], True, id="an ended pod does not stand in"),
        pytest.param({"currentNumberScheduled": 3}, [_pod(), _pod()], True, id="DaemonSet"),
        pytest.param({}, [], False, id="no pods"),
    ],
)
def test_pods_are_missing_when_a_workload_has_more_than_are_labelled(
    status: dict[str, int], labelled: list[dict[str, Any]], lacking: bool
) -> None:
    assert lacks_labelled_pods([_workload(status)], labelled) is lacking
