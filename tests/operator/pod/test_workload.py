"""The stamp on pod templates: when it is put, carried over, raised, removed and refused."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from postern_operator.pod.decision import Reason, Refused, Stamped
from postern_operator.pod.workload import shape, stamp, template_patch
from tests.operator.pod.samples import NAMESPACE, SETTINGS, make_policy, make_workload, merged

Object = dict[str, Any]
USER = "alice"
NEWER = replace(SETTINGS, sidecar_image="registry.example/postern-sidecar@sha256:newer")


def _stamped(workload: Object, old: Object | None = None, policy: Object | None = None, **change: Any) -> Stamped:
    found = make_policy() if policy is None else policy
    arguments: Object = {"settings": SETTINGS, "namespace": NAMESPACE, "user": USER} | change
    outcome = stamp(workload, old, found, **arguments)
    assert isinstance(outcome, Stamped), outcome
    return outcome


def _refused(workload: Object, old: Object | None = None, policy: Object | None = None, **change: Any) -> Refused:
    arguments: Object = {"settings": SETTINGS, "namespace": NAMESPACE, "user": USER} | change
    outcome = stamp(workload, old, policy, **arguments)
    assert isinstance(outcome, Refused), outcome
    return outcome


def _keys(workload: Object) -> tuple[str | None, str | None, str | None]:
    metadata = workload["spec"]["template"]["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return (
        labels.get("postern.dev/inject"),
        annotations.get("postern.dev/policy"),
        annotations.get("postern.dev/shape"),
    )


def test_new_workload_gets_all_three_keys_so_that_no_second_rollout_follows() -> None:
    outcome = _stamped(make_workload())

    assert _keys(outcome.workload) == ("true", "weather", shape(make_policy(), SETTINGS))
    assert template_patch(outcome.workload, make_policy(), SETTINGS) is None
    assert outcome.warnings == ()


def test_only_the_template_is_touched() -> None:
    workload = make_workload()
    before = copy.deepcopy(workload)

    outcome = _stamped(workload).workload

    assert workload == before
    assert outcome["metadata"] == before["metadata"]
    assert outcome["spec"]["selector"] == before["spec"]["selector"]
    assert outcome["spec"]["template"]["spec"] == before["spec"]["template"]["spec"]
    assert outcome["spec"]["template"]["metadata"]["labels"]["app"] == "weather"


def test_workload_without_the_annotation_is_left_alone() -> None:
    workload = make_workload(annotations={})

    assert _stamped(workload).workload == workload


def test_plain_manifest_applied_again_keeps_the_old_shape_after_an_upgrade() -> None:
    old = _stamped(make_workload()).workload

    again = _stamped(make_workload(), old, settings=NEWER).workload

    assert again == old


def test_user_cannot_write_a_shape() -> None:
    old = _stamped(make_workload()).workload
    written = merged(old, {"spec": {"template": {"metadata": {"annotations": {"postern.dev/shape": "mine"}}}}})

    assert _keys(_stamped(written, old).workload) == _keys(old)
    assert _keys(_stamped(written).workload) == _keys(old)


def test_controller_raises_the_shape() -> None:
    old = _stamped(make_workload()).workload
    patch = template_patch(old, make_policy(), NEWER)
    assert patch is not None

    raised = _stamped(merged(old, patch), old, settings=NEWER, user=SETTINGS.service_account).workload

    assert _keys(raised)[2] == shape(make_policy(), NEWER) != shape(make_policy(), SETTINGS)


def test_change_of_policy_is_one_rollout() -> None:
    old = _stamped(make_workload()).workload
    other = merged(make_policy(sidecar={"resources": {"limits": {"memory": "1Gi"}}}), {"metadata": {"name": "other"}})

    moved = _stamped(make_workload(annotations={"postern.dev/policy": "other"}), old, other).workload

    assert _keys(moved) == ("true", "other", shape(other, SETTINGS))


def test_missing_policy_is_accepted_with_a_warning_and_no_shape() -> None:
    outcome = stamp(make_workload(), None, None, SETTINGS, namespace=NAMESPACE, user=USER)

    assert isinstance(outcome, Stamped)
    assert _keys(outcome.workload) == ("true", "weather", None)
    assert outcome.warnings == (
        "McpAuthPolicy weather does not exist in namespace team-a yet: its pods will be refused until it does",
    )


def test_removed_annotation_takes_the_keys_away_with_a_warning() -> None:
    old = _stamped(make_workload()).workload
    new = merged(old, {"metadata": {"annotations": None}})

    outcome = _stamped(new, old)

    assert _keys(outcome.workload) == (None, None, None)
    assert outcome.workload["spec"]["template"]["metadata"]["labels"] == {"app": "weather"}
    assert "without protection" in outcome.warnings[0]


def test_rollback_to_a_template_from_before_stays_protected() -> None:
    old = _stamped(make_workload()).workload
    rolled_back = make_workload(template={"spec": {"containers": [{"name": "app", "image": "weather:0"}]}})
    rolled_back = merged(rolled_back, {"spec": {"template": {"spec": {"nodeName": None}}}})

    outcome = _stamped(rolled_back, old, make_policy(server={"port": 8080}))

    assert _keys(outcome.workload) == _keys(old)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param({"spec": {"hostNetwork": True}}, Reason.HOST_NETWORK, id="whatever the policy"),
        pytest.param({"spec": {"containers": [{"name": "app", "image": "x"}]}}, Reason.NO_PORT, id="with this policy"),
    ],
)
def test_template_whose_pods_would_be_refused_is_refused(template: Object, reason: Reason) -> None:
    outcome = _refused(make_workload(template=template), policy=make_policy())

    assert outcome.reason == reason
    assert outcome.message.startswith("in spec.template: ")


def test_missing_policy_does_not_hide_a_refusal_that_needs_none() -> None:
    outcome = _refused(make_workload(template={"spec": {"hostNetwork": True}}))

    assert outcome.reason == Reason.HOST_NETWORK


def test_warnings_of_the_pod_are_told_at_the_workload() -> None:
    ports = [{"containerPort": 8080}, {"containerPort": 9090, "name": "metrics"}]
    template = {"spec": {"containers": [{"name": "app", "image": "x", "ports": ports}]}}

    outcome = _stamped(make_workload(template=template), policy=make_policy(server={"port": 8080}))

    assert outcome.warnings == (
        "ports 9090 (metrics of container app) will not be reachable from outside: add them to "
        "spec.server.exemptPorts of McpAuthPolicy team-a/weather",
    )


@pytest.mark.parametrize(
    "selector",
    [
        {"matchLabels": {"postern.dev/inject": "true"}},
        {"matchExpressions": [{"key": "postern.dev/inject", "operator": "Exists"}]},
    ],
)
def test_label_in_the_selector_is_refused(selector: Object) -> None:
    workload = make_workload()
    workload["spec"]["selector"] = selector

    outcome = _refused(workload, policy=make_policy())

    assert outcome.reason == Reason.LABEL_IN_SELECTOR
    assert "spec.selector" in outcome.message


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        ("", Reason.EMPTY_POLICY_NAME),
        ("team-b/weather", Reason.POLICY_IN_OTHER_NAMESPACE),
        ("Weather", Reason.POLICY_NOT_FOUND),
    ],
)
def test_annotation_that_can_name_no_policy_is_refused(annotation: str, reason: Reason) -> None:
    assert _refused(make_workload(annotations={"postern.dev/policy": annotation})).reason == reason


def test_template_label_that_contradicts_the_annotation_is_refused() -> None:
    workload = make_workload(template={"metadata": {"labels": {"postern.dev/inject": "false"}}})

    outcome = _refused(workload, policy=make_policy())

    assert outcome.reason == Reason.BAD_LABEL_VALUE
    assert outcome.message.startswith("spec.template.metadata.labels")


def test_update_that_leaves_the_pods_alone_is_never_refused() -> None:
    old = _stamped(make_workload()).workload
    strict = merged(NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})

    outcome = _stamped(merged(old, {"spec": {"replicas": 5}}), old, namespace=strict)

    assert outcome.workload["spec"]["replicas"] == 5


def test_update_that_changes_the_pods_is_refused_where_they_would_be() -> None:
    old = _stamped(make_workload()).workload
    strict = merged(NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    new = merged(old, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}})

    assert _refused(new, old, make_policy(), namespace=strict).reason == Reason.INCOMPATIBLE_NAMESPACE


def test_workload_that_is_being_deleted_is_left_alone() -> None:
    workload = make_workload(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})

    assert _stamped(workload).workload == workload


@pytest.mark.parametrize("metadata", [None, {}, {"creationTimestamp": None}])
def test_template_without_metadata_is_stamped(metadata: Object | None) -> None:
    workload = make_workload()
    workload["spec"]["template"]["metadata"] = metadata

    assert _keys(_stamped(workload).workload)[:2] == ("true", "weather")


def test_patch_has_our_keys_alone_and_the_uid() -> None:
    assert template_patch(make_workload(), make_policy(), SETTINGS) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "weather", "namespace": "team-a", "uid": "77aa"},
        "spec": {
            "template": {
                "metadata": {
                    "labels": {"postern.dev/inject": "true"},
                    "annotations": {
                        "postern.dev/policy": "weather",
                        "postern.dev/shape": shape(make_policy(), SETTINGS),
                    },
                }
            }
        },
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"metadata": {"annotations": None}}, id="no annotation"),
        pytest.param({"metadata": {"annotations": {"postern.dev/policy": "other"}}}, id="another policy"),
        pytest.param({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, id="being deleted"),
    ],
)
def test_workload_that_is_not_ours_gets_no_patch(change: Object) -> None:
    assert template_patch(merged(make_workload(), change), make_policy(), SETTINGS) is None


@pytest.mark.parametrize(
    "spec",
    [
        {"server": {"port": 8080}},
        {"server": {"exemptPorts": [9090]}},
        {"sidecar": {"resources": {"limits": {"memory": "1Gi"}}}},
        {"caBundle": {"configMap": {"name": "ca"}}},
    ],
)
def test_change_that_a_running_pod_cannot_take_over_is_another_shape(spec: Object) -> None:
    assert shape(make_policy(**spec), SETTINGS) != shape(make_policy(), SETTINGS)


@pytest.mark.parametrize(
    "spec",
    [
        {"scopes": {"required": ["a"]}},
        {"sidecar": {"logLevel": "debug"}},
        {"server": {"publicPaths": ["/health"]}},
        {"server": {"exemptPorts": []}},
        {"provider": {"keycloak": None, "workos": {"domain": "acme.authkit.app"}}},
    ],
)
def test_change_that_a_running_pod_takes_over_keeps_the_shape(spec: Object) -> None:
    assert shape(make_policy(**spec), SETTINGS) == shape(make_policy(), SETTINGS)


def test_another_image_is_another_shape() -> None:
    assert shape(make_policy(), SETTINGS) != shape(make_policy(), NEWER)
