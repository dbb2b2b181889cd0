"""Admission requests and their answers: what is allowed, patched and refused."""

import base64
import json
from typing import Any

import jsonpatch
import pytest

from postern_operator.pod.decision import Stamped
from postern_operator.pod.workload import stamp
from postern_operator.webhook.review import policy_key, review
from tests.operator.pod.pairs import NAMES, read_input
from tests.operator.pod.samples import NAMESPACE, SETTINGS, injected, make_pod, make_policy, make_workload, merged

Object = dict[str, Any]
POD = {"group": "", "version": "v1", "resource": "pods"}


def _request(subject: Object, *, resource: Object = POD, operation: str = "CREATE", **more: Any) -> Object:
    return {
        "uid": "705ab4f5",
        "resource": resource,
        "namespace": "team-a",
        "operation": operation,
        "object": subject,
        "userInfo": {"username": "alice"},
        **more,
    }


def _workload_request(subject: Object, resource: str = "deployments", **more: Any) -> Object:
    return _request(subject, resource={"group": "apps", "version": "v1", "resource": resource}, **more)


def _patched(subject: Object, response: Object) -> Object:
    patched: Object = jsonpatch.apply_patch(subject, base64.b64decode(response["patch"]).decode())
    return patched


@pytest.mark.parametrize("name", NAMES)
def test_patch_makes_exactly_the_injected_pod(name: str) -> None:
    pod, policy = read_input(name)

    response = review(_request(pod), policy, NAMESPACE, SETTINGS)

    after = _patched(pod, response) if "patch" in response else pod
    assert after == injected(pod, policy).pod
    assert (response["uid"], response["allowed"]) == ("705ab4f5", True)
    assert response.get("warnings", []) == list(injected(pod, policy).warnings)


def test_pod_that_is_already_right_gets_no_patch() -> None:
    response = review(_request(injected(make_pod()).pod), make_policy(), NAMESPACE, SETTINGS)

    assert response == {"uid": "705ab4f5", "allowed": True}


@pytest.mark.parametrize("resource", ["deployments", "statefulsets", "daemonsets"])
def test_workload_is_stamped(resource: str) -> None:
    workload = make_workload()

    response = review(_workload_request(workload, resource), make_policy(), NAMESPACE, SETTINGS)

    expected = stamp(workload, None, make_policy(), SETTINGS, namespace=NAMESPACE, user="alice")
    assert isinstance(expected, Stamped)
    assert _patched(workload, response) == expected.workload
    assert response["patchType"] == "JSONPatch"


def test_annotation_removed_by_an_update_unprotects_with_a_warning() -> None:
    old = stamp(make_workload(), None, make_policy(), SETTINGS, namespace=NAMESPACE, user="alice")
    assert isinstance(old, Stamped)
    new = merged(old.workload, {"metadata": {"annotations": None}})
    request = _workload_request(new, operation="UPDATE", oldObject=old.workload)

    response = review(request, None, NAMESPACE, SETTINGS)

    assert policy_key(request) is None
    assert "postern.dev/inject" not in _patched(new, response)["spec"]["template"]["metadata"]["labels"]
    assert "without protection" in response["warnings"][0]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(_request(make_pod(metadata={"labels": {"postern.dev/inject": None}})), id="unlabelled pod"),
        pytest.param(_request(make_pod(spec={"hostNetwork": True}), operation="UPDATE"), id="update of a pod"),
        pytest.param(_request({}, operation="DELETE"), id="deletion"),
        pytest.param(_request({}, subResource="binding"), id="subresource"),
        pytest.param(_workload_request(make_workload(annotations={})), id="workload without annotation"),
        pytest.param(_workload_request({"spec": {"replicas": 3}}, subResource="scale"), id="scaling"),
        pytest.param(_workload_request({}, operation="DELETE"), id="deletion of a workload"),
    ],
)
def test_what_does_not_concern_us_is_allowed_untouched(request_: Object) -> None:
    assert review(request_, None, NAMESPACE, SETTINGS) == {"uid": "705ab4f5", "allowed": True}
    assert policy_key(request_) is None


def test_refusal_says_reason_and_message() -> None:
    response = review(_request(make_pod(spec={"hostNetwork": True})), make_policy(), NAMESPACE, SETTINGS)

    assert response["allowed"] is False
    assert response["status"]["code"] == 403
    assert response["status"]["reason"] == "HostNetwork"
    assert response["status"]["message"].startswith("HostNetwork: spec.hostNetwork is true")
    assert "patch" not in response


def test_pod_without_its_policy_is_refused_but_its_workload_is_accepted() -> None:
    pod = review(_request(make_pod()), None, NAMESPACE, SETTINGS)
    workload = review(_workload_request(make_workload()), None, NAMESPACE, SETTINGS)

    assert (pod["allowed"], pod["status"]["reason"]) == (False, "PolicyNotFound")
    assert workload["allowed"]
    assert "does not exist in namespace team-a yet" in workload["warnings"][0]


def test_dry_run_is_answered_like_the_real_thing() -> None:
    real = review(_request(make_pod()), make_policy(), NAMESPACE, SETTINGS)

    assert review(_request(make_pod(), dryRun=True), make_policy(), NAMESPACE, SETTINGS) == real


def test_namespace_of_the_request_counts_not_that_of_the_object() -> None:
    request = _request(make_pod(metadata={"namespace": "team-b"}))

    assert policy_key(request) == ("team-a", "weather")
    assert "namespace team-a" in review(request, None, {"metadata": {}}, SETTINGS)["status"]["message"]


@pytest.mark.parametrize("value", ["", "../../secrets/x", "a?b=c", "a%2fb", "A", "a b", "-a", "a\nb"])
def test_annotation_that_is_no_name_is_never_looked_up(value: str) -> None:
    pod = make_pod(metadata={"annotations": {"postern.dev/policy": value}})

    assert policy_key(_request(pod)) is None
    assert review(_request(pod), None, NAMESPACE, SETTINGS)["allowed"] is False


def test_wrong_label_value_is_refused_without_a_look_up() -> None:
    request = _request(make_pod(metadata={"labels": {"postern.dev/inject": "false"}}))

    assert policy_key(request) is None
    assert review(request, None, NAMESPACE, SETTINGS)["status"]["reason"] == "BadLabelValue"


def test_only_the_controller_may_raise_the_shape() -> None:
    old = stamp(make_workload(), None, make_policy(), SETTINGS, namespace=NAMESPACE, user="alice")
    assert isinstance(old, Stamped)
    annotations = {"postern.dev/shape": "newer"}
    new = merged(old.workload, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
    by_user = _workload_request(new, operation="UPDATE", oldObject=old.workload)
    by_us = {**by_user, "userInfo": {"username": SETTINGS.service_account}}

    assert _patched(new, review(by_user, make_policy(), NAMESPACE, SETTINGS)) == old.workload
    assert "patch" not in review(by_us, make_policy(), NAMESPACE, SETTINGS)


def test_long_warning_is_cut() -> None:
    ports = [{"containerPort": 8080 + i, "name": f"a-rather-long-{i}"} for i in range(9)]
    pod = make_pod(spec={"containers": [{"name": "container-with-a-long-name", "image": "x", "ports": ports}]})

    response = review(_request(pod), make_policy(server={"port": 8080}), NAMESPACE, SETTINGS)

    assert [len(warning) for warning in response["warnings"]] == [256]


def test_resource_that_the_webhook_is_not_made_for_is_an_error() -> None:
    request = _request(make_pod(), resource={"group": "batch", "version": "v1", "resource": "jobs"})

    with pytest.raises(ValueError, match="jobs"):
        review(request, None, NAMESPACE, SETTINGS)


def test_response_is_json() -> None:
    response = review(_request(make_pod()), make_policy(), NAMESPACE, SETTINGS)

    assert json.loads(json.dumps(response)) == response
