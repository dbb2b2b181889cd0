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


@pytest.mark.parametrize(
    ("status", "labelled", "lacking"),
    [
        pytest.param({"replicas": 2}, 2, False, id="all labelled"),
        pytest.param({"replicas": 2}, 1, True, id="one is not"),
        pytest.param({"currentNumberScheduled": 3}, 2, True, id="DaemonSet"),
        pytest.param({}, 0, False, id="no pods"),
    ],
)
def test_pods_are_missing_when_workloads_have_more_than_are_labelled(
    status: dict[str, int], labelled: int, lacking: bool
) -> None:
    assert lacks_labelled_pods([{"status": status}], labelled) is lacking
