"""What is refused, with which reason, and that the message says where and what to do."""

from typing import Any

import pytest

from postern_operator.pod.decision import Reason, Refused
from postern_operator.pod.inject import inject
from tests.operator.pod.samples import NAMESPACE, SETTINGS, injected, make_pod, make_policy, merged, refused

Object = dict[str, Any]


def _app(**change: Any) -> Object:
    app = {"name": "app", "image": "weather:1", "ports": [{"containerPort": 8080}]}
    return {"containers": [merged(app, change)]}


def _annotated(value: str) -> Object:
    return {"annotations": {"postern.dev/policy": value}}


REFUSED_PODS = [
    pytest.param({"metadata": {"labels": {"postern.dev/inject": "yes"}}}, Reason.BAD_LABEL_VALUE, "'true'", id="label"),
    pytest.param({"metadata": {"labels": {"postern.dev/inject": ""}}}, Reason.BAD_LABEL_VALUE, "'true'", id="no label"),
    pytest.param({"metadata": {"annotations": None}}, Reason.EMPTY_POLICY_NAME, "postern.dev/policy", id="no name"),
    pytest.param({"metadata": _annotated("")}, Reason.EMPTY_POLICY_NAME, "postern.dev/policy", id="empty name"),
    pytest.param({"metadata": _annotated(" ")}, Reason.EMPTY_POLICY_NAME, "postern.dev/policy", id="blank name"),
    pytest.param({"metadata": _annotated("b/w")}, Reason.POLICY_IN_OTHER_NAMESPACE, "'b/w'", id="other namespace"),
    pytest.param({"metadata": _annotated("We!")}, Reason.POLICY_NOT_FOUND, "'We!'", id="no name at all"),
    pytest.param({"metadata": _annotated("a" * 64)}, Reason.POLICY_NOT_FOUND, "63", id="name too long"),
    pytest.param({"metadata": _annotated("other")}, Reason.POLICY_NOT_FOUND, "other", id="another policy"),
    pytest.param({"spec": {"hostNetwork": True}}, Reason.HOST_NETWORK, "spec.hostNetwork", id="host network"),
    pytest.param({"spec": {"os": {"name": "windows"}}}, Reason.WINDOWS_POD, "spec.os.name", id="windows"),
    pytest.param(
        {"spec": {"nodeSelector": {"kubernetes.io/os": "windows"}}},
        Reason.WINDOWS_POD,
        "nodeSelector",
        id="windows node",
    ),
    pytest.param(
        {"spec": {"shareProcessNamespace": True}},
        Reason.SHARE_PROCESS_NAMESPACE,
        "shareProcessNamespace",
        id="processes",
    ),
    pytest.param({"spec": _app(name="postern")}, Reason.NAME_CLASH, "spec.containers[0].name", id="container postern"),
    pytest.param({"spec": _app(name="postern-net")}, Reason.NAME_CLASH, "spec.containers[0].name", id="container net"),
    pytest.param(
        {"spec": {"initContainers": [{"name": "postern", "image": "x"}]}},
        Reason.NAME_CLASH,
        "spec.initContainers[0].name",
        id="init container postern",
    ),
    pytest.param(
        {"spec": {"initContainers": [{"name": "postern", "image": "x", "command": ["postern-sidecar"]}]}},
        Reason.NAME_CLASH,
        "spec.initContainers[0].name",
        id="init container postern that ends",
    ),
    pytest.param(
        {"spec": {"initContainers": [{"name": "postern-net", "image": "x", "command": ["sh"]}]}},
        Reason.NAME_CLASH,
        "spec.initContainers[0].name",
        id="init container net",
    ),
    pytest.param(
        {"spec": {"volumes": [{"name": "postern", "emptyDir": {}}]}}, Reason.NAME_CLASH, "spec.volumes[0]", id="volume"
    ),
    pytest.param(
        {"spec": {"volumes": [{"name": "postern", "projected": {"sources": [{"configMap": {"name": "mine"}}]}}]}},
        Reason.NAME_CLASH,
        "spec.volumes[0]",
        id="projected volume",
    ),
    pytest.param(
        {"spec": _app(volumeMounts=[{"name": "postern", "mountPath": "/x"}])},
        Reason.NAME_CLASH,
        "spec.containers[0].volumeMounts[0]",
        id="mount of our volume",
    ),
    pytest.param(
        {"spec": _app(ports=[{"containerPort": 8080}, {"containerPort": 19871}])},
        Reason.PORT_CLASH,
        "spec.containers[0].ports[1].containerPort",
        id="containerPort",
    ),
    pytest.param(
        {"spec": _app(ports=[{"containerPort": 8080, "hostPort": 19872}])},
        Reason.PORT_CLASH,
        "spec.containers[0].ports[0].hostPort",
        id="hostPort",
    ),
    pytest.param(
        {"spec": {"initContainers": [{"name": "i", "image": "x", "ports": [{"containerPort": 19872}]}]}},
        Reason.PORT_CLASH,
        "spec.initContainers[0].ports[0].containerPort",
        id="containerPort of an init container",
    ),
    pytest.param(
        {"spec": _app(readinessProbe={"httpGet": {"port": 19872, "path": "/app-health/app/readiness"}})},
        Reason.PORT_CLASH,
        "readiness of container app",
        id="probe of the health port",
    ),
    pytest.param(
        {"spec": _app(lifecycle={"preStop": {"tcpSocket": {"port": 19871}}})},
        Reason.PORT_CLASH,
        "preStop of container app",
        id="hook of the listening port",
    ),
    pytest.param(
        {"spec": {"securityContext": {"runAsUser": 64321}}},
        Reason.USER_CLASH,
        "spec.securityContext.runAsUser",
        id="user of the pod",
    ),
    pytest.param(
        {"spec": _app(securityContext={"runAsUser": 64321})},
        Reason.USER_CLASH,
        "spec.containers[0].securityContext.runAsUser",
        id="user of a container",
    ),
    pytest.param({"spec": _app(ports=None)}, Reason.NO_PORT, "spec.server.port", id="no port"),
    pytest.param(
        {"spec": _app(ports=[{"containerPort": 53, "protocol": "UDP"}])},
        Reason.NO_PORT,
        "spec.server.port",
        id="only udp",
    ),
    pytest.param(
        {"spec": _app(ports=[{"containerPort": 80, "name": "web"}, {"containerPort": 81}])},
        Reason.AMBIGUOUS_PORT,
        "80 (web of container app), 81 (container app)",
        id="two ports",
    ),
    pytest.param(
        {
            "spec": _app(
                ports=[{"containerPort": 19873}], readinessProbe={"httpGet": {"port": 19873, "host": "127.0.0.1"}}
            )
        },
        Reason.PROBE_HOST,
        "'127.0.0.1'",
        id="probe host",
    ),
    pytest.param(
        {"spec": _app(livenessProbe={"tcpSocket": {"port": 8080, "host": "10.0.0.1"}})},
        Reason.PROBE_HOST,
        "liveness of container app",
        id="tcp probe host",
    ),
    pytest.param(
        {"spec": _app(lifecycle={"postStart": {"httpGet": {"port": 8080, "host": "x"}}})},
        Reason.PROBE_HOST,
        "postStart of container app",
        id="hook host",
    ),
]


@pytest.mark.parametrize(("change", "reason", "says"), REFUSED_PODS)
def test_pod_is_refused_with_a_reason_and_a_place(change: Object, reason: Reason, says: str) -> None:
    outcome = refused(make_pod(**change))

    assert outcome.reason == reason
    assert says in outcome.message
    assert "\n" not in outcome.message


@pytest.mark.parametrize(
    ("spec", "reason", "says"),
    [
        pytest.param({"server": {"port": "http"}}, Reason.UNKNOWN_PORT_NAME, "8080 (container app)", id="unknown name"),
        pytest.param({"server": {"port": 19872}}, Reason.PORT_CLASH, "19872", id="our own port"),
        pytest.param(
            {"server": {"exemptPorts": [8080]}}, Reason.NO_PORT, "found: 8080 (container app)", id="all exempt"
        ),
        pytest.param(
            {"server": {"port": 8080, "exemptPorts": [8080]}},
            Reason.POLICY_INVALID,
            "exemptPorts",
            id="guarded and exempt",
        ),
        pytest.param({"server": {"exemptPorts": "all"}}, Reason.POLICY_INVALID, "spec.server.exemptPorts", id="type"),
        pytest.param({"resource": None}, Reason.POLICY_INVALID, "resource", id="incomplete"),
        pytest.param({"tomorrow": True}, Reason.POLICY_INVALID, "tomorrow", id="unknown member"),
    ],
)
def test_policy_that_does_not_fit_the_pod_refuses_it(spec: Object, reason: Reason, says: str) -> None:
    outcome = refused(make_pod(), make_policy(**spec))

    assert outcome.reason == reason
    assert says in outcome.message


def test_same_port_name_for_two_numbers_is_ambiguous() -> None:
    ports = [{"name": "http", "containerPort": 8081}]
    twin = {"name": "twin", "image": "x", "ports": ports}
    pod = make_pod(spec={"containers": [*_app(ports=[{"name": "http", "containerPort": 8080}])["containers"], twin]})

    outcome = refused(pod, make_policy(server={"port": "http"}))

    assert outcome.reason == Reason.AMBIGUOUS_PORT
    assert "8080 (http of container app), 8081 (http of container twin)" in outcome.message


def test_missing_policy_is_refused_with_its_name_and_namespace() -> None:
    outcome = inject(make_pod(), None, SETTINGS, namespace=NAMESPACE)

    assert isinstance(outcome, Refused)
    assert outcome.reason == Reason.POLICY_NOT_FOUND
    assert "McpAuthPolicy weather" in outcome.message
    assert "namespace team-a" in outcome.message


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_namespace_that_forbids_the_redirect_is_refused_with_advice(level: str) -> None:
    namespace = merged(NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}})

    outcome = refused(make_pod(), namespace=namespace)

    assert outcome.reason == Reason.INCOMPATIBLE_NAMESPACE
    assert f"team-a enforces the Pod Security Standard {level}" in outcome.message
    assert "set that label to privileged" in outcome.message


def test_privileged_namespace_is_accepted() -> None:
    namespace = merged(NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}})

    injected(make_pod(), namespace=namespace)


def test_every_reason_is_seen_in_a_test_of_pods_or_workloads() -> None:
    seen = {case.values[1] for case in REFUSED_PODS}

    elsewhere = {
        Reason.POLICY_INVALID,
        Reason.UNKNOWN_PORT_NAME,
        Reason.INCOMPATIBLE_NAMESPACE,
        Reason.LABEL_IN_SELECTOR,
    }
    assert seen | elsewhere == set(Reason)
