from collections.abc import Iterator, Mapping

import pytest

from postern_operator.settings import from_environment
from tests.charts.rendering import Helm, Object, deployments, one, pod_spec, variables

pytestmark = pytest.mark.cluster

DIGEST = "sha256:" + "a" * 64


class AskedFor(Mapping[str, str]):
    """An environment with the one variable that must be there; keeps the names of all that were looked up."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return {"POSTERN_SIDECAR_IMAGE": "image"}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def test_settings_take_every_variable_and_no_other(objects: list[Object]) -> None:
    known = {"POSTERN_NAMESPACE": "postern-system"}
    asked = AskedFor()
    from_environment(asked)
    for deployment in deployments(objects):
        environment = variables(deployment)
        settings = from_environment(environment | known)
        assert set(environment) == asked.names
        assert settings.sidecar_image == "localhost/postern-sidecar:0.1.0"
        assert settings.service_account == "system:serviceaccount:postern-system:postern-controller"
        assert settings.self_managed_certificates is True


def test_names_in_the_environment_are_names_of_objects(objects: list[Object]) -> None:
    webhook = one(objects, "Deployment", "postern-webhook")
    environment = variables(webhook)
    (volume,) = pod_spec(webhook)["volumes"]
    (mount,) = pod_spec(webhook)["containers"][0]["volumeMounts"]
    ports = {port["name"]: port["containerPort"] for port in pod_spec(webhook)["containers"][0]["ports"]}
    assert one(objects, "Service", environment["POSTERN_WEBHOOK_SERVICE"])
    assert one(objects, "MutatingWebhookConfiguration", environment["POSTERN_WEBHOOK_CONFIGURATION"])
    assert volume["secret"]["secretName"] == environment["POSTERN_CERTIFICATE_SECRET"]
    assert mount["mountPath"] == environment["POSTERN_CERTIFICATE_DIRECTORY"]
    assert ports == {
        "webhook": int(environment["POSTERN_WEBHOOK_PORT"]),
        "health": int(environment["POSTERN_HEALTH_PORT"]),
    }


def test_roles_start_with_their_own_account(objects: list[Object]) -> None:
    for role in ("controller", "webhook"):
        spec = pod_spec(one(objects, "Deployment", f"postern-{role}"))
        assert spec["containers"][0]["args"] == [role]
        assert spec["serviceAccountName"] == f"postern-{role}"
        assert one(objects, "ServiceAccount", f"postern-{role}")["automountServiceAccountToken"] is False


def test_pods_fit_the_restricted_pod_security_standard(objects: list[Object]) -> None:
    for deployment in deployments(objects):
        spec = pod_spec(deployment)
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)


def test_pods_are_never_selected_by_the_own_webhook(objects: list[Object]) -> None:
    for deployment in deployments(objects):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert not [name for name in labels if name.startswith("postern.dev/")]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_controller_is_never_there_twice(objects: list[Object]) -> None:
    spec = one(objects, "Deployment", "postern-controller")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_webhook_has_an_answer_during_rollout_and_drain(helm: Helm, objects: list[Object]) -> None:
    spec = one(objects, "Deployment", "postern-webhook")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 60
    budget = one(objects, "PodDisruptionBudget", "postern-webhook")["spec"]
    assert budget["minAvailable"] == 1
    assert budget["selector"] == spec["selector"]
    single = helm.objects("webhook.replicas=1")
    assert not [o for o in single if o["kind"] == "PodDisruptionBudget"]


def test_webhook_never_sees_the_key_of_the_authority(objects: list[Object]) -> None:
    (volume,) = pod_spec(one(objects, "Deployment", "postern-webhook"))["volumes"]
    assert [item["key"] for item in volume["secret"]["items"]] == ["tls.crt", "tls.key"]
    assert "optional" not in volume["secret"]


def test_service_reaches_the_webhook(objects: list[Object]) -> None:
    service = one(objects, "Service", "postern-webhook")["spec"]
    webhook = one(objects, "Deployment", "postern-webhook")
    assert service["selector"] == webhook["spec"]["selector"]["matchLabels"]
    assert [(port["port"], port["targetPort"]) for port in service["ports"]] == [(443, "webhook")]


def test_digest_wins_over_tag(helm: Helm) -> None:
    objects = helm.objects(f"images.sidecar.digest={DIGEST}", "images.sidecar.tag=v9", "images.operator.tag=v9")
    webhook = one(objects, "Deployment", "postern-webhook")
    assert variables(webhook)["POSTERN_SIDECAR_IMAGE"] == f"localhost/postern-sidecar@{DIGEST}"
    assert pod_spec(webhook)["containers"][0]["image"] == "localhost/postern-operator:v9"


def test_scheduling_and_pod_values_arrive_at_their_role_alone(helm: Helm) -> None:
    objects = helm.objects(
        "webhook.priorityClassName=system-cluster-critical",
        "webhook.nodeSelector.disk=ssd",
        "webhook.tolerations[0].key=dedicated",
        "webhook.podLabels.team=auth",
        "webhook.podAnnotations.note=yes,imagePullSecrets[0].name=pull",
    )
    webhook, controller = (one(objects, "Deployment", f"postern-{role}") for role in ("webhook", "controller"))
    metadata, spec = webhook["spec"]["template"]["metadata"], pod_spec(webhook)
    assert spec["priorityClassName"] == "system-cluster-critical"
    assert spec["nodeSelector"] == {"disk": "ssd"}
    assert spec["tolerations"] == [{"key": "dedicated"}]
    assert metadata["labels"]["team"] == "auth"
    assert metadata["annotations"] == {"note": "yes"}
    assert spec["imagePullSecrets"] == pod_spec(controller)["imagePullSecrets"] == [{"name": "pull"}]
    assert not {"priorityClassName", "nodeSelector", "tolerations"} & set(pod_spec(controller))
