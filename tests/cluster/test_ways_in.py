"""Every way into a protected pod: refused without a token, served with one; nothing beside the way is open."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.installation import MANIFESTS, URL, Identity
from tests.support.kube import Kube, wait_for

NAMESPACE = "t-ways-in"
IMAGE = "localhost/postern-demo-weather:0.1.0"
UNDECLARED, EXEMPT = 9999, 9090

_PROBE = """
import http.client, json, sys
host, port, token = sys.argv[1:4]
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
    "capabilities": {}, "clientInfo": {"name": "probe", "version": "1"}}})
headers = {"Host": "localhost:8080", "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream"}
if token: headers["Authorization"] = "Bearer " + token
connection = http.client.HTTPConnection(host, int(port), timeout=3)
try:
    connection.request("POST", "/mcp", body, headers)
    answer = connection.getresponse()
    print(answer.status, answer.getheader("www-authenticate") or "-")
except OSError as error:
    print("unreachable", type(error).__name__)
"""
_SERVE = """
import http.server, sys
http.server.ThreadingHTTPServer(("", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def _server(name: str, port: int, *, declared: bool) -> dict[str, Any]:
    ports = {"ports": [{"containerPort": port, "name": name}]} if declared else {}
    return {
        "name": name,
        "image": IMAGE,
        "command": ["python3", "-c", _SERVE, str(port)],
        "workingDir": "/tmp",
        **ports,
    }


def _prober(name: str, *, host_network: bool) -> dict[str, Any]:
    container = {"name": "prober", "image": IMAGE, "command": ["sleep", "infinity"]}
    spec = {"terminationGracePeriodSeconds": 0, "hostNetwork": host_network, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _weather() -> list[dict[str, Any]]:
    service, deployment = yaml.safe_load_all((MANIFESTS / "weather.yaml").read_text(encoding="utf-8"))
    service["spec"] |= {"type": "NodePort", "ipFamilyPolicy": "PreferDualStack"}
    template = deployment["spec"]["template"]["spec"]
    template["containers"] += [
        {"name": "neighbour", "image": IMAGE, "command": ["sleep", "infinity"]},
        _server("undeclared", UNDECLARED, declared=False),
        _server("metrics", EXEMPT, declared=True),
    ]
    return [service, deployment]


@pytest.fixture(scope="module")
def weather(postern: Kube, identity: Identity) -> Iterator[Kube]:
    postern.run("create", "namespace", NAMESPACE)
    here = postern.within(NAMESPACE)
    policy = yaml.safe_load((MANIFESTS / "policy.yaml").read_text(encoding="utf-8"))
    policy["spec"]["server"] = {"port": "http", "exemptPorts": [EXEMPT]}
    here.apply(identity.ca_config_map(), policy, *_weather())
    here.apply(_prober("prober", host_network=False), _prober("node-prober", host_network=True))
    here.run("annotate", "deployment", "weather", "postern.dev/policy=weather")
    here.rollout("deployment/weather")
    here.run("wait", "--for=condition=Ready", "pod/prober", "pod/node-prober", "--timeout=60s")
    wait_for("the old pod gone", lambda: len(here.pods("app=weather")) == 1)
    yield here
    postern.run("delete", "namespace", NAMESPACE, "--wait=false")


def _address(kube: Kube, way: str) -> tuple[str, str, str, str]:
    """Give pod and container to ask from, host and port to ask."""
    pod = kube.pods("app=weather")[0]
    service = kube.get("service", "weather")["spec"]
    name = pod["metadata"]["name"]
    v4, v6 = (next(a["ip"] for a in pod["status"]["podIPs"] if (":" in a["ip"]) is six) for six in (False, True))
    node = kube.get("nodes")["items"][0]["status"]["addresses"][0]["address"]
    node_port = str(service["ports"][0]["nodePort"])
    return {
        "pod IPv4": ("prober", "prober", v4, "8000"),
        "pod IPv6": ("prober", "prober", v6, "8000"),
        "Service": ("prober", "prober", f"weather.{NAMESPACE}.svc", "80"),
        "Service IPv6": ("prober", "prober", next(a for a in service["clusterIPs"] if ":" in a), "80"),
        "NodePort": ("prober", "prober", node, node_port),
        "NodePort from the node": ("node-prober", "prober", node, node_port),
        "process of the node, IPv4": ("node-prober", "prober", v4, "8000"),
        "process of the node, IPv6": ("node-prober", "prober", v6, "8000"),
        "loopback IPv4 of another container": (name, "neighbour", "127.0.0.1", "8000"),
        "loopback name of another container": (name, "neighbour", "localhost", "8000"),
        "own IPv4 from another container": (name, "neighbour", v4, "8000"),
        "own IPv6 from another container": (name, "neighbour", v6, "8000"),
        "sidecar's port": ("prober", "prober", v4, "19871"),
        "undeclared IPv4": ("prober", "prober", v4, str(UNDECLARED)),
        "undeclared IPv6": ("prober", "prober", v6, str(UNDECLARED)),
        "exempt": ("prober", "prober", v4, str(EXEMPT)),
        "health port": ("prober", "prober", v4, "19872"),
    }[way]


def _ask(kube: Kube, way: str, token: str = "") -> str:
    pod, container, host, port = _address(kube, way)
    return kube.run("exec", pod, "-c", container, "--", "python3", "-c", _PROBE, host, port, token).strip()


_WAYS = [
    "pod IPv4",
    "pod IPv6",
    "Service",
    "Service IPv6",
    "NodePort",
    "NodePort from the node",
    "process of the node, IPv4",
    "process of the node, IPv6",
    "loopback IPv4 of another container",
    "loopback name of another container",
    "own IPv4 from another container",
    "own IPv6 from another container",
    "sidecar's port",
]


@pytest.mark.parametrize("way", _WAYS)
def test_without_a_token_it_is_refused_with_a_challenge(weather: Kube, way: str) -> None:
    status, _, challenge = _ask(weather, way).partition(" ")

    assert status == "401"
    assert challenge.startswith("Bearer ")
    assert 'resource_metadata="http://localhost:8080/.well-known/oauth-protected-resource/mcp"' in challenge


@pytest.mark.parametrize("way", _WAYS)
def test_with_a_token_it_is_served(weather: Kube, identity: Identity, way: str) -> None:
    assert _ask(weather, way, identity.token).startswith("200 ")


def test_a_forged_token_is_refused(weather: Kube, identity: Identity) -> None:
    head, payload, _ = identity.token.split(".")

    assert 'error="invalid_token"' in _ask(weather, "pod IPv4", f"{head}.{payload}.AAAA")


@pytest.mark.parametrize("way", ["undeclared IPv4", "undeclared IPv6"])
def test_an_undeclared_port_is_closed(weather: Kube, way: str) -> None:
    assert _ask(weather, way).startswith("unreachable")


def test_an_exempt_port_stays_open(weather: Kube) -> None:
    assert _ask(weather, "exempt").startswith("501"), "Python's file server answers: POST is not for it"


def test_the_health_port_serves_nothing_of_the_server(weather: Kube, identity: Identity) -> None:
    assert _ask(weather, "health port", identity.token).split()[0] in ("404", "405")


def test_the_servers_own_probes_are_green_through_the_sidecar(weather: Kube) -> None:
    pod = weather.pods("app=weather")[0]
    probe = pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]

    assert (probe["port"], probe["path"]) == (19872, "/app-health/weather/readiness")
    assert all(status["ready"] for status in pod["status"]["containerStatuses"])
    assert all(status["restartCount"] == 0 for status in pod["status"]["containerStatuses"])


def test_the_sidecar_is_first_in_line_and_restricted(weather: Kube) -> None:
    first, second = weather.pods("app=weather")[0]["spec"]["initContainers"][:2]
    context = second["securityContext"]

    assert (first["name"], second["name"]) == ("postern-net", "postern")
    assert first["securityContext"]["capabilities"] == {"add": ["NET_ADMIN"], "drop": ["ALL"]}
    assert second["restartPolicy"] == "Always"
    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_application_token_is_not_visible_to_the_sidecar(weather: Kube) -> None:
    name = weather.pods("app=weather")[0]["metadata"]["name"]
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"

    def listed(container: str) -> list[str]:
        return weather.run("exec", name, "-c", container, "--", "ls", folder).split()

    assert "token" in listed("weather"), "the application keeps its own"
    assert "token" not in listed("postern")


def test_closed_ports_are_named_when_the_workload_is_written(weather: Kube, identity: Identity) -> None:
    _, deployment = _weather()
    deployment["metadata"] |= {"name": "other", "annotations": {"postern.dev/policy": "weather"}}
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        if container["name"] == "metrics":
            container["ports"][0]["containerPort"] = 9091

    printed = weather.apply(deployment, arguments=("--dry-run=server",))

    assert "Warning" in printed
    assert "9091" in printed
    assert "exemptPorts" in printed


def test_the_discovery_documents_need_no_token(weather: Kube) -> None:
    path = "/.well-known/oauth-protected-resource/mcp"
    script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"
    document = weather.run("exec", "prober", "--", "python3", "-c", script, f"http://weather.{NAMESPACE}.svc{path}")

    assert f'"resource": "{URL}"' in document or f'"resource":"{URL}"' in document
