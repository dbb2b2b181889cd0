"""The demo's steps on a cluster, each a function that gives back what it saw.

A step raises ``StepFailed``, ``CommandFailed`` or ``NotReached`` when it does not end as told. Nothing here starts or
ends a cluster: the steps work on whatever ``Stage.kube`` reaches.
"""

import json
from typing import Any

from examples.demo.endpoint import KnownCall, OpenCall, Refusal, call_after_login, call_openly, refused_without_token
from examples.demo.images import OPERATOR, REGISTRY, ROOT, SIDECAR
from examples.demo.narrator import expect
from examples.demo.stage import (
    IDP_NAME,
    ISSUER,
    LOCAL_PORT,
    NAMESPACE,
    OPERATOR_NAMESPACE,
    SSO_NAME,
    URL,
    Stage,
    reachable,
)
from tests.support.ca import PrivateCA
from tests.support.identity.browser import ScriptedBrowser
from tests.support.kube import Kube, Manifest, wait_for

CHART = ROOT / "charts" / "postern"
INSTALL_SECONDS = 180
READY_SECONDS = 120

ASK_FROM_INSIDE = (
    "fetch(process.argv[1], {method: 'POST'}).then(async (r) => console.log(JSON.stringify("
    "{status: r.status, challenge: r.headers.get('www-authenticate') ?? '', body: await r.text()})))"
)
"""What node in the identity provider's pod runs to send a request without a token."""


def install(stage: Stage, *, renewed: bool = False) -> str:
    """Installs the chart, or upgrades what is there; ``renewed``: the images changed under the same tag."""
    tell, kube = stage.narrator, stage.kube.within(OPERATOR_NAMESPACE)
    existed = bool(json.loads(kube.helm("list", "--namespace", OPERATOR_NAMESPACE, "--output", "json")))
    if existed:
        # Helm never upgrades custom resource definitions.
        kube.apply(*sorted((CHART / "crds").glob("*.yaml")), arguments=("--server-side", "--force-conflicts"))
    command = _helm_command(stage, existed=existed)
    tell.command(" ".join(["helm", *command]))
    kube.helm(*[str(CHART) if word == "charts/postern" else word for word in command], timeout_s=INSTALL_SECONDS + 30)
    if existed and renewed:
        kube.run("rollout", "restart", "deployment")
    for deployment in ("postern-controller", "postern-webhook"):
        kube.rollout(f"deployment/{deployment}")
    pods = kube.run("get", "pods")
    tell.command(f"kubectl -n {OPERATOR_NAMESPACE} get pods")
    tell.shows(pods)
    tell.seen("controller and webhook are ready")
    return pods


def _helm_command(stage: Stage, *, existed: bool) -> list[str]:
    command = ["upgrade" if existed else "install", "postern", "charts/postern", "--namespace", OPERATOR_NAMESPACE]
    command += [] if existed else ["--create-namespace"]
    for part, image in (("operator", OPERATOR), ("sidecar", SIDECAR)) if stage.registry != REGISTRY else ():
        command += ["--set", f"images.{part}.repository={stage.registry}/{image.rpartition(':')[0]}"]
    return [*command, "--wait", "--timeout", f"{INSTALL_SECONDS}s"]


def set_the_scene(stage: Stage) -> None:
    """A new namespace with the identity provider and the unchanged MCP server, both ready."""
    tell, kube = stage.narrator, stage.kube
    kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=120s", timeout_s=130)
    kube.run("create", "namespace", NAMESPACE)
    kube.apply(*_trust(stage))
    for name in ("idp", "weather"):
        tell.command(f"kubectl -n {NAMESPACE} apply -f examples/demo/manifests/{name}.yaml")
        kube.apply(stage.manifest(name))
    for name in ("idp", "weather"):
        kube.rollout(f"deployment/{name}")
    tell.seen("an identity provider with alice and bob, and an MCP server that knows nothing of OAuth, both ready")


def _trust(stage: Stage) -> list[Manifest]:
    authority = PrivateCA("Postern demo authority")
    stage.ca_file.write_bytes(authority.certificate)
    trusted = {"ca.crt": authority.certificate.decode()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "idp-ca"}, "data": trusted},
        _certificate(authority, "idp-tls", IDP_NAME),
        _certificate(authority, "sso-tls", SSO_NAME),
    ]


def _certificate(authority: PrivateCA, secret: str, name: str) -> Manifest:
    leaf = authority.leaf(name, f"{name}.cluster.local", "localhost")
    pair = {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": pair}


def served_without_token(stage: Stage) -> OpenCall:
    """The MCP client is served, whoever it is."""
    stage.narrator.command(f"kubectl -n {NAMESPACE} port-forward svc/weather {LOCAL_PORT}:80")
    with reachable(stage) as network:
        seen = call_openly(URL, network=network)
    stage.narrator.shows(f"tools: {', '.join(seen.tools)}; add(2, 3) = {seen.total}")
    stage.narrator.seen(f"anybody who reaches {URL} may use it")
    return seen


def apply_policy(stage: Stage) -> dict[str, Any]:
    """The policy, accepted and rendered; it protects nothing yet. Gives back its status."""
    tell, kube = stage.narrator, stage.kube
    text = stage.manifest("policy")
    tell.shows(line for line in text.splitlines() if not line.startswith("#"))
    tell.command(f"kubectl -n {NAMESPACE} apply -f examples/demo/manifests/policy.yaml")
    kube.apply(text)
    status = wait_for("the policy is programmed", lambda: status_with(kube, "Programmed"), timeout_s=READY_SECONDS)
    _show_policy(stage)
    tell.seen("the policy is accepted, and no pod is behind it yet")
    return status


def protect(stage: Stage) -> dict[str, Any]:
    """The one annotation; the Deployment rolls, and the sidecars report. Gives back the policy's status."""
    tell, kube = stage.narrator, stage.kube
    command = ["annotate", "deployment", "weather", "postern.dev/policy=weather"]
    tell.command(f"kubectl -n {NAMESPACE} {' '.join(command)}")
    kube.run(*command)
    kube.rollout("deployment/weather")
    wait_for("the pods without sidecar are gone", lambda: only_guarded_pods(kube), timeout_s=READY_SECONDS)
    status = wait_for("the policy is ready", lambda: status_with(kube, "Ready"), timeout_s=READY_SECONDS)
    expect(status.get("readyTargets") == "1/1", "1/1 pods with the wanted configuration", status.get("readyTargets"))
    _show_policy(stage)
    tell.seen("the pod's own sidecar says that it enforces this policy")
    return status


def _show_policy(stage: Stage) -> None:
    stage.narrator.command(f"kubectl -n {NAMESPACE} get mcpauth")
    stage.narrator.shows(stage.kube.run("get", "mcpauth"))


def status_with(kube: Kube, condition: str, name: str = "weather") -> dict[str, Any] | None:
    """The policy's status, once this condition holds for its present spec."""
    policy = kube.get("mcpauth", name)
    status: dict[str, Any] = policy.get("status", {})
    is_true = any(c["type"] == condition and c["status"] == "True" for c in status.get("conditions", []))
    return status if is_true and status.get("observedGeneration") == policy["metadata"]["generation"] else None


def only_guarded_pods(kube: Kube, name: str = "weather") -> bool:
    """Whether every pod of the workload is to have a sidecar."""
    # Pods that are going away count: a port-forward to the Service may still choose one.
    pods = kube.get("pods", "-l", f"app={name}")["items"]
    return all(pod["metadata"].get("labels", {}).get("postern.dev/inject") == "true" for pod in pods)


def refused_outside(stage: Stage) -> Refusal:
    """The same request as before is refused, and told where the login is."""
    stage.narrator.command(f"curl -i -X POST {URL}")
    with reachable(stage) as network:
        seen = refused_without_token(URL, issuer=ISSUER, network=network)
    stage.narrator.shows(seen.lines())
    stage.narrator.seen(f"refused; the metadata that it points to names {ISSUER}")
    return seen


def served_after_login(stage: Stage, *, username: str = "alice") -> KnownCall:
    """The MCP client finds the login by itself, and the server learns who calls."""
    tell = stage.narrator
    with reachable(stage) as network:
        browser = ScriptedBrowser(network=network, username=username, password=f"{username}-pw")
        seen = call_after_login(URL, browser, on_exchange=lambda exchange: tell.shows(exchange.line()))
    tell.does("The tool whoami tells what the server, still unchanged, was told:")
    tell.shows(seen.told())
    tell.seen(f"{seen.weather} And the client's own header 'X-Mcp-User-Id: mallory' went nowhere")
    return seen


def refused_inside(stage: Stage) -> dict[str, Refusal]:
    """Pod address and Service are refused from within the cluster too."""
    tell, kube = stage.narrator, stage.kube
    (pod,) = kube.pods("app=weather")
    address = pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    seen = {}
    for url in (f"http://{host}:8000/mcp", f"http://weather.{NAMESPACE}.svc/mcp"):
        tell.command(f'kubectl -n {NAMESPACE} exec deploy/idp -- node -e \'fetch("{url}", {{method: "POST"}})…\'')
        answer = json.loads(kube.run("exec", "deploy/idp", "--", "node", "-e", ASK_FROM_INSIDE, url))
        seen[url] = Refusal(answer["status"], answer["challenge"], answer["body"])
        expect(seen[url].status == 401, f"401 at {url}", seen[url])
        tell.shows(seen[url].lines()[:2])
    tell.seen("there is no way around the sidecar")
    return seen
