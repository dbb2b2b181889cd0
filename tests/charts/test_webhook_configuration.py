import base64

import pytest

from postern_operator import names
from tests.charts.rendering import NAMESPACE, Helm, Object, one, variables

pytestmark = pytest.mark.cluster

CA = "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def webhooks(objects: list[Object]) -> dict[str, Object]:
    configuration = one(objects, "MutatingWebhookConfiguration", "postern")
    return {webhook["name"]: webhook for webhook in configuration["webhooks"]}


def test_paths_are_those_that_the_operator_serves(webhooks: dict[str, Object]) -> None:
    paths = {name: webhook["clientConfig"]["service"]["path"] for name, webhook in webhooks.items()}
    assert paths == {
        "workloads.postern.dev": names.WORKLOAD_WEBHOOK_PATH,
        "pods.postern.dev": names.POD_WEBHOOK_PATH,
    }


def test_without_an_answer_everything_asked_about_is_refused(webhooks: dict[str, Object]) -> None:
    for webhook in webhooks.values():
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["timeoutSeconds"] == 5
        assert webhook["sideEffects"] == "None"
        assert webhook["matchPolicy"] == "Equivalent"


def test_pods_with_any_value_of_the_label_are_asked_about(webhooks: dict[str, Object]) -> None:
    pods = webhooks["pods.postern.dev"]
    assert pods["objectSelector"] == {"matchExpressions": [{"key": names.INJECT_LABEL, "operator": "Exists"}]}
    assert pods["reinvocationPolicy"] == "IfNeeded"
    (rule,) = pods["rules"]
    assert (rule["resources"], rule["operations"]) == (["pods"], ["CREATE"])


def test_workloads_are_asked_about_when_the_annotation_is_there_or_was(webhooks: dict[str, Object]) -> None:
    workloads = webhooks["workloads.postern.dev"]
    (condition,) = workloads["matchConditions"]
    assert f"'{names.POLICY_ANNOTATION}' in o.metadata.annotations" in condition["expression"]
    assert "oldObject" in condition["expression"]
    (rule,) = workloads["rules"]
    assert rule["resources"] == ["deployments", "statefulsets", "daemonsets"]
    assert rule["operations"] == ["CREATE", "UPDATE"]


def test_cluster_and_operator_can_always_start(webhooks: dict[str, Object]) -> None:
    for webhook in webhooks.values():
        (expression,) = webhook["namespaceSelector"]["matchExpressions"]
        assert expression["operator"] == "NotIn"
        assert expression["values"] == ["kube-system", "kube-node-lease", "kube-public", NAMESPACE]


def test_upgrade_leaves_the_bundle_to_the_controller(webhooks: dict[str, Object]) -> None:
    for webhook in webhooks.values():
        assert "caBundle" not in webhook["clientConfig"]


def test_provided_certificate_is_used_by_both_sides(helm: Helm) -> None:
    objects = helm.objects(
        "certificates.mode=provided", "certificates.provided.secretName=mine", f"certificates.provided.caBundle={CA}"
    )
    for webhook in one(objects, "MutatingWebhookConfiguration", "postern")["webhooks"]:
        assert base64.b64decode(webhook["clientConfig"]["caBundle"]).decode() == CA
    environment = variables(one(objects, "Deployment", "postern-controller"))
    assert environment["POSTERN_CERTIFICATE_SECRET"] == "mine"
    assert environment["POSTERN_SELF_MANAGED_CERTIFICATES"] == "false"


def test_cert_manager_issues_for_the_name_that_the_api_server_calls(helm: Helm) -> None:
    objects = helm.objects("certificates.mode=certManager")
    configuration = one(objects, "MutatingWebhookConfiguration", "postern")
    certificate = one(objects, "Certificate", "postern-webhook")
    environment = variables(one(objects, "Deployment", "postern-controller"))
    assert configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == f"{NAMESPACE}/postern-webhook"
    assert f"postern-webhook.{NAMESPACE}.svc" in certificate["spec"]["dnsNames"]
    assert certificate["spec"]["secretName"] == environment["POSTERN_CERTIFICATE_SECRET"]
    assert environment["POSTERN_SELF_MANAGED_CERTIFICATES"] == "false"


def test_self_managed_needs_no_cert_manager(objects: list[Object]) -> None:
    assert not [o for o in objects if o["apiVersion"].startswith("cert-manager.io")]
