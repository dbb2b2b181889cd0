import pytest

from tests.charts.rendering import CHART, Helm, HelmRefused

pytestmark = pytest.mark.cluster


def test_strict_lint_finds_nothing(helm: Helm) -> None:
    said = helm.run("lint", "--strict", str(CHART))
    assert "[WARNING]" not in said
    assert "[ERROR]" not in said


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        pytest.param("replicas=3", "additional properties 'replicas' not allowed", id="unknown-at-the-top"),
        pytest.param("webhook.replica=3", "/webhook': additional properties 'replica' not allowed", id="typo"),
        pytest.param("webhook.failurePolicy=Ignore", "'failurePolicy' not allowed", id="failure-policy-is-no-value"),
        pytest.param("images.sidecar.tags=1", "/images/sidecar': additional properties 'tags'", id="typo-in-image"),
        pytest.param("images.sidecar.repository=a/b:latest", "/images/sidecar/repository", id="tag-in-repository"),
        pytest.param("images.operator.digest=sha256:abc", "/images/operator/digest", id="short-digest"),
        pytest.param("images.operator.pullPolicy=Sometimes", "/images/operator/pullPolicy", id="pull-policy"),
        pytest.param("logLevel=trace", "/logLevel", id="log-level"),
        pytest.param("resyncSeconds=5m", "/resyncSeconds': got string, want integer", id="unit-in-a-number"),
        pytest.param("resyncSeconds=0", "/resyncSeconds': minimum", id="no-resync"),
        pytest.param("webhook.replicas=0", "/webhook/replicas': minimum", id="no-replica"),
        pytest.param("webhook.port=443", "/webhook/port': minimum", id="privileged-port"),
        pytest.param("webhook.port=8080", "webhook.port must not be 8080", id="port-of-the-probes"),
        pytest.param(
            "webhook.podLabels.postern\\.dev/inject=x", "podLabels must not have postern.dev/inject", id="label"
        ),
        pytest.param(
            "controller.podLabels.app\\.kubernetes\\.io/name=x",
            "controller.podLabels must not have app.kubernetes.io/name",
            id="label-of-the-selector",
        ),
        pytest.param("controller.resources.memory=1Gi", "/controller/resources': additional", id="resources-typo"),
        pytest.param("controller.resources.limits.memory=lots", "/resources/limits/memory", id="quantity"),
        pytest.param("certificates.mode=none", "/certificates/mode", id="certificate-mode"),
        pytest.param("certificates.mode=provided", "/certificates/provided/secretName", id="provided-without-secret"),
        pytest.param("certificates.provided.caBundle=abc", "/certificates/provided/caBundle", id="not-pem"),
    ],
)
def test_wrong_value_is_refused_and_named(helm: Helm, setting: str, expected: str) -> None:
    with pytest.raises(HelmRefused) as refused:
        helm.objects(setting)
    assert expected in str(refused.value)


def test_namespace_default_is_refused(helm: Helm) -> None:
    with pytest.raises(HelmRefused, match="--namespace postern-system --create-namespace"):
        helm.objects(namespace="default")


def test_cluster_without_native_sidecars_is_refused(helm: Helm) -> None:
    assert helm.objects(options=["--kube-version", "1.29.0"])
    with pytest.raises(HelmRefused, match=r"1\.28\.9"):
        helm.objects(options=["--kube-version", "1.28.9"])
