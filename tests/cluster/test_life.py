"""A protected workload over time: its policy changes, files are spoilt, the operator comes and goes."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from examples.demo import story
from examples.demo.stage import Stage
from postern_crds.sidecar_config import SCHEMA_VERSION
from tests.cluster.installation import ISSUER, MANIFESTS, OPERATOR_NAMESPACE, Identity, protect
from tests.support.kube import Kube, wait_for

NAMESPACE = "t-life"
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def weather(postern: Kube, identity: Identity) -> Iterator[Kube]:
    postern.run("create", "namespace", NAMESPACE)
    here = postern.within(NAMESPACE)
    protect(here, identity)
    wait_for("the old pod gone", lambda: len(here.pods("app=weather")) == 1)
    yield here
    postern.run("delete", "namespace", NAMESPACE, "--wait=false")


def _fingerprint(kube: Kube) -> list[tuple[str, list[int]]]:
    """Give uid and restart counts of each pod: what must not change."""
    return [
        (
            pod["metadata"]["uid"],
            [c["restartCount"] for part in ("initContainerStatuses", "containerStatuses") for c in pod["status"][part]],
        )
        for pod in kube.pods("app=weather")
    ]


def _sidecar(kube: Kube) -> Manifest:
    """Give the sidecar's own /status."""
    name = kube.pods("app=weather")[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:19872/proxy/status"
    status: Manifest = json.loads(kube.run("get", "--raw", path))
    return status


def _conditions(kube: Kube) -> dict[str, str]:
    status = kube.get("mcpauth", "weather").get("status", {})
    return {c["type"]: c["status"] for c in status.get("conditions", [])}


def test_status_tells_what_the_sidecars_said(weather: Kube) -> None:
    policy = weather.get("mcpauth", "weather")
    status = policy["status"]

    assert status["configHash"] == _sidecar(weather)["configHash"]
    assert status["observedGeneration"] == policy["metadata"]["generation"]
    assert status["targets"] == {"desired": 1, "injected": 1, "current": 1, "unprotected": 0, "unknown": 0}
    assert status["issuer"]["issuer"] == ISSUER
    assert status["issuer"]["registration"] is True
    assert status["resourceMetadataURL"] == "http://localhost:8080/.well-known/oauth-protected-resource/mcp"
    wanted = dict.fromkeys(("Accepted", "ResolvedRefs", "Programmed", "Enforced", "IssuerReachable", "Ready"), "True")
    assert _conditions(weather) == wanted | {"AudienceUnchecked": "False"}


def test_kubectl_get_shows_the_columns(weather: Kube) -> None:
    head, line = weather.run("get", "mcp").splitlines()

    assert head.split() == ["NAME", "MODE", "PROVIDER", "READY", "TARGETS", "AGE"]
    assert line.split()[:5] == ["weather", "Direct", "custom", "True", "1/1"]


def _requires(kube: Kube, scope: str) -> float:
    """Change the policy; give the seconds until the running sidecar enforces it and the status says so."""
    old = _sidecar(kube)["configHash"]
    patch = {"spec": {"scopes": {"required": [scope]}}}
    began = time.monotonic()
    kube.run("patch", "mcpauth", "weather", "--type=merge", "-p", json.dumps(patch))
    wait_for("the sidecar enforces it", lambda: _sidecar(kube)["configHash"] != old, timeout_s=100)
    delay = time.monotonic() - began
    new = _sidecar(kube)["configHash"]
    wait_for("status says so", lambda: kube.get("mcpauth", "weather")["status"]["configHash"] == new)
    wait_for("enforced", lambda: _conditions(kube)["Enforced"] == "True")
    return delay


def test_a_policy_change_reaches_the_running_pod_without_a_restart(
    weather: Kube, record_property: Callable[[str, object], None]
) -> None:
    before = _fingerprint(weather)

    delays = [round(_requires(weather, scope), 2) for scope in ("weather:write", "weather:read")]

    assert _fingerprint(weather) == before
    record_property("configuration_delay_s", delays)
    print(f"\nconfiguration reached the running pod after {delays} s")


def test_a_spoilt_configuration_map_is_repaired_and_never_enforced(weather: Kube) -> None:
    good = _sidecar(weather)["configHash"]
    spoilt = {"data": {"policy.json": '{"schemaVersion": 99}'}}

    weather.run("patch", "configmap", "postern-weather", "--type=merge", "-p", json.dumps(spoilt))
    assert _sidecar(weather)["configHash"] == good
    # Any change of the policy makes the controller look; without one it does so every five minutes.
    weather.run("patch", "mcpauth", "weather", "--type=merge", "-p", '{"spec": {"resource": {"name": "Weather"}}}')
    weather.run(
        "patch", "mcpauth", "weather", "--type=merge", "-p", '{"spec": {"resource": {"name": "Weather tools"}}}'
    )

    def repaired() -> bool:
        text = weather.get("configmap", "postern-weather")["data"]["policy.json"]
        return bool(json.loads(text)["schemaVersion"] == SCHEMA_VERSION)

    wait_for("the controller writes it anew", repaired, timeout_s=60)
    wait_for("the same configuration", lambda: _sidecar(weather)["configHash"] == good)
    wait_for("enforced", lambda: _conditions(weather)["Enforced"] == "True")


def test_a_missing_ca_is_named_and_the_pod_recovers_when_it_appears(
    postern: Kube, identity: Identity, namespace: Kube
) -> None:
    namespace.apply(MANIFESTS / "policy.yaml", MANIFESTS / "weather.yaml")
    namespace.run("annotate", "deployment", "weather", "postern.dev/policy=weather")

    def refs() -> Manifest:
        conditions = namespace.get("mcpauth", "weather").get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == "ResolvedRefs"), {})

    wait_for("the condition", lambda: refs().get("status") == "False")
    assert "idp-ca" in refs()["message"]
    pod = wait_for("a running sidecar", lambda: _running_sidecar(namespace))

    namespace.apply(identity.ca_config_map())

    namespace.run("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=150s", timeout_s=160)
    wait_for("the condition again", lambda: refs().get("status") == "True", timeout_s=90)


def _running_sidecar(kube: Kube) -> str | None:
    for pod in kube.pods("app=weather"):
        states = {c["name"]: c for c in pod["status"].get("initContainerStatuses", [])}
        if states.get("postern", {}).get("started"):
            return str(pod["metadata"]["name"])
    return None


def test_an_operator_restart_changes_no_pod(postern: Kube, weather: Kube) -> None:
    before = _fingerprint(weather)
    system = postern.within(OPERATOR_NAMESPACE)

    for role in ("controller", "webhook"):
        system.run("rollout", "restart", f"deployment/postern-{role}")
    for role in ("controller", "webhook"):
        system.rollout(f"deployment/postern-{role}")
    wait_for("enforced", lambda: _conditions(weather)["Enforced"] == "True")

    assert _fingerprint(weather) == before


def test_a_reinstallation_changes_no_pod_and_admits_again(stage: Stage, weather: Kube) -> None:
    before = _fingerprint(weather)

    stage.kube.helm("uninstall", "postern", "--namespace", OPERATOR_NAMESPACE, "--wait")
    story.install(stage)
    wait_for("enforced", lambda: _conditions(weather)["Enforced"] == "True")

    assert _fingerprint(weather) == before
    weather.run("scale", "deployment/weather", "--replicas=2")
    weather.rollout("deployment/weather")
    assert all(p["spec"]["initContainers"][1]["name"] == "postern" for p in weather.pods("app=weather"))
    wait_for("two of two", lambda: weather.get("mcpauth", "weather")["status"]["readyTargets"] == "2/2")


def test_a_plain_manifest_applied_again_keeps_the_protection(weather: Kube) -> None:
    template = weather.get("deployment", "weather")["spec"]["template"]
    manifests = list(yaml.safe_load_all((MANIFESTS / "weather.yaml").read_text(encoding="utf-8")))
    manifests[1]["metadata"]["annotations"] = {"postern.dev/policy": "weather"}
    manifests[1]["spec"]["replicas"] = 2

    weather.apply(*manifests)
    weather.run("replace", "-f", "-", stdin=yaml.safe_dump(manifests[1]))

    assert weather.get("deployment", "weather")["spec"]["template"] == template, "no rollout, nothing lost"


def test_a_changed_port_rolls_the_workload_once(weather: Kube) -> None:
    before = weather.get("deployment", "weather")["metadata"]["generation"]
    patch = {"spec": {"server": {"exemptPorts": [9090]}}}

    weather.run("patch", "mcpauth", "weather", "--type=merge", "-p", json.dumps(patch))
    wait_for("a new shape", lambda: weather.get("deployment", "weather")["metadata"]["generation"] == before + 1)
    weather.rollout("deployment/weather")
    wait_for("two of two", lambda: weather.get("mcpauth", "weather")["status"]["readyTargets"] == "2/2")

    assert weather.get("deployment", "weather")["metadata"]["generation"] == before + 1
