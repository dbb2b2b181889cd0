"""Admission on a real API server: who is asked, who is refused and with what words, and that no race opens a pod."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.cluster.installation import MANIFESTS, OPERATOR_NAMESPACE
from tests.support.kube import Kube, wait_for

IMAGE = "localhost/postern-demo-weather:0.1.0"
RACES = 50
Manifest = dict[str, Any]


def _policy(name: str = "weather") -> Manifest:
    policy: Manifest = yaml.safe_load((MANIFESTS / "policy.yaml").read_text(encoding="utf-8"))
    policy["metadata"]["name"] = name
    return policy


def _pod(name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Manifest:
    container = {"name": "app", "image": IMAGE, "command": ["sleep", "infinity"], "ports": [{"containerPort": 8000}]}
    annotations = {"postern.dev/policy": "weather"} if labels else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}, "annotations": annotations},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def _deployment(name: str, policy: str | None = "weather", **spec: Any) -> Manifest:
    pod = _pod(name, **spec)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "annotations": {"postern.dev/policy": policy} if policy is not None else {}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod["spec"] | {"restartPolicy": "Always"}},
        },
    }


LABELLED = {"postern.dev/inject": "true"}


def _is_injected(pod: Manifest) -> bool:
    return [c["name"] for c in pod["spec"].get("initContainers", [])][:2] == ["postern-net", "postern"]


def _asked(kube: Kube) -> int:
    """Count the admission requests that all webhook replicas have answered."""
    total = 0
    for pod in kube.within(OPERATOR_NAMESPACE).pods("app.kubernetes.io/component=webhook"):
        path = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        metrics = kube.run("get", "--raw", path)
        total += sum(
            int(float(n)) for n in re.findall(r"^postern_admissions_total\{[^}]*\} (\S+)", metrics, re.MULTILINE)
        )
    return total


@contextmanager
def _webhook_down(kube: Kube) -> Iterator[None]:
    system = kube.within(OPERATOR_NAMESPACE)
    system.run("scale", "deployment/postern-webhook", "--replicas=0")
    wait_for("webhook gone", lambda: not system.get("pods", "-l", "app.kubernetes.io/component=webhook")["items"])
    try:
        yield
    finally:
        system.run("scale", "deployment/postern-webhook", "--replicas=2")
        system.rollout("deployment/postern-webhook")


def test_the_webhook_is_never_asked_about_unlabelled_pods(postern: Kube, namespace: Kube) -> None:
    namespace.apply(_policy())
    before = _asked(postern)

    namespace.apply(_pod("plain"), _deployment("plain", None))
    wait_for("the Deployment's pod", lambda: namespace.pods("app=plain"))
    namespace.run("scale", "deployment/plain", "--replicas=2")
    wait_for("two pods", lambda: len(namespace.pods("app=plain")) == 2)
    after = _asked(postern)
    namespace.apply(_pod("labelled", labels=LABELLED), arguments=("--dry-run=server",))

    assert after == before
    assert _asked(postern) > after, "the counter does count"
    assert not any(_is_injected(p) for p in namespace.pods("app=plain"))


def test_while_the_webhook_is_down_labelled_pods_are_refused_and_others_created(postern: Kube, namespace: Kube) -> None:
    namespace.apply(_policy())
    with _webhook_down(postern):
        assert "pods.postern.dev" in namespace.refusal(_pod("labelled", labels=LABELLED))
        assert "workloads.postern.dev" in namespace.refusal(_deployment("annotated"))
        assert "created" in namespace.apply(_pod("plain"), _deployment("plain", None))

    assert "created" in namespace.apply(_deployment("annotated"))
    assert all(_is_injected(p) for p in wait_for("its pod", lambda: namespace.pods("app=annotated")))


def test_a_missing_policy_is_named_and_its_pods_recover_when_it_appears(postern: Kube, namespace: Kube) -> None:
    printed = namespace.apply(_deployment("early"))

    assert "Warning" in printed
    assert f"McpAuthPolicy weather does not exist in namespace {namespace.namespace}" in printed

    def refusal() -> str:
        conditions = [c for r in namespace.get("replicasets")["items"] for c in r["status"].get("conditions", [])]
        return next((c["message"] for c in conditions if c["type"] == "ReplicaFailure"), "")

    message = wait_for("the ReplicaSet's refusal", refusal)
    assert "PolicyNotFound" in message
    assert "weather" in message
    assert namespace.pods("app=early") == []

    namespace.apply(_policy())

    pods = wait_for("its pod", lambda: namespace.pods("app=early"), timeout_s=120)
    assert all(_is_injected(p) for p in pods)


def test_removing_the_annotation_unprotects_on_purpose(postern: Kube, namespace: Kube) -> None:
    namespace.apply(_policy(), _deployment("weather"))
    wait_for("its pod", lambda: namespace.pods("app=weather"))
    wait_for("status", lambda: namespace.get("mcpauth", "weather")["status"].get("workloads"))

    printed = namespace.run("annotate", "deployment", "weather", "postern.dev/policy-")

    template = namespace.get("deployment", "weather")["spec"]["template"]["metadata"]
    assert "Warning" in printed
    assert "postern.dev/inject" not in template["labels"]
    assert not any(key.startswith("postern.dev/") for key in template.get("annotations", {}))
    wait_for("an unprotected pod", lambda: [p for p in namespace.pods("app=weather") if not _is_injected(p)])
    wait_for(
        "an Event",
        lambda: [e for e in namespace.get("events.events.k8s.io")["items"] if e["reason"] == "Unprotected"],
        timeout_s=90,
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"hostNetwork": True}, "HostNetwork", id="host network"),
        pytest.param({"shareProcessNamespace": True}, "ShareProcessNamespace", id="shared processes"),
        pytest.param({"volumes": [{"name": "postern", "emptyDir": {}}]}, "NameClash", id="name clash"),
        pytest.param({"securityContext": {"runAsUser": 64321}}, "UserClash", id="user clash"),
        pytest.param(
            {"containers": [{"name": "app", "image": IMAGE, "ports": [{"containerPort": 19871}]}]},
            "PortClash",
            id="port clash",
        ),
        pytest.param({"containers": [{"name": "app", "image": IMAGE}]}, "NoPort", id="missing port"),
    ],
)
def test_what_cannot_be_protected_is_refused_at_the_workload(
    postern: Kube, namespace: Kube, change: dict[str, Any], expected: str
) -> None:
    namespace.apply(_policy())
    deployment = _deployment("weather")
    deployment["spec"]["template"]["spec"] |= change

    message = namespace.refusal(deployment, arguments=("--dry-run=server",))

    assert expected in message


def test_a_policy_of_another_namespace_cannot_be_named(postern: Kube, namespace: Kube) -> None:
    assert "PolicyInOtherNamespace" in namespace.refusal(_deployment("weather", "other/weather"))


def test_a_namespace_that_enforces_baseline_is_refused_at_the_workload(postern: Kube, namespace: Kube) -> None:
    postern.run("label", "namespace", namespace.namespace, "pod-security.kubernetes.io/enforce=baseline")
    namespace.apply(_policy())

    def refusal() -> bool:
        return "IncompatibleNamespace" in namespace.refusal(_deployment("weather"), arguments=("--dry-run=server",))

    assert refusal()


def test_a_wrong_label_value_is_refused_not_ignored(postern: Kube, namespace: Kube) -> None:
    namespace.apply(_policy())

    assert "BadLabelValue" in namespace.refusal(_pod("labelled", labels={"postern.dev/inject": "yes"}))


def test_a_forged_sidecar_is_replaced_or_refused(postern: Kube, namespace: Kube) -> None:
    namespace.apply(_policy())
    fake = {"name": "postern", "image": IMAGE, "command": ["sleep", "infinity"], "restartPolicy": "Always"}

    message = namespace.refusal(_pod("forged", labels=LABELLED, initContainers=[fake]))

    assert "NameClash" in message


def _all_of(kube: Kube, count: int) -> list[Manifest]:
    pods: list[Manifest] = kube.get("pods")["items"]
    return pods if len({p["metadata"]["labels"]["app"] for p in pods}) >= count else []


def test_policy_and_workload_of_the_same_instant_never_give_an_unprotected_pod(postern: Kube, namespace: Kube) -> None:
    nowhere = {"nodeSelector": {"nowhere": "true"}}
    pairs = [(_policy(f"p{i}"), _deployment(f"d{i}", f"p{i}", **nowhere)) for i in range(RACES)]
    manifests = [m for i, pair in enumerate(pairs) for m in (pair if i % 2 else reversed(pair))]
    barrier = threading.Barrier(4)

    def create(part: list[Manifest]) -> None:
        barrier.wait()
        namespace.run("create", "-f", "-", stdin="\n---\n".join(yaml.safe_dump(m) for m in part))

    threads = [threading.Thread(target=create, args=(manifests[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pods = wait_for("a pod for each", lambda: _all_of(namespace, RACES), timeout_s=200)

    assert [p["metadata"]["name"] for p in pods if not _is_injected(p)] == []
    owners = {p["metadata"]["labels"]["app"] for p in pods}
    assert owners == {f"d{i}" for i in range(RACES)}
