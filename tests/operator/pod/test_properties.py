"""Pods of all kinds: each is protected or refused, never neither, and what a user wrote stays."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from postern_operator.pod.decision import Injected, Refused
from postern_operator.pod.inject import inject
from tests.operator.pod.samples import NAMESPACE, SETTINGS, make_policy

Object = dict[str, Any]

_NAMES = st.sampled_from([*(f"c{i}" for i in range(20)), "postern", "postern-net"])
_PORT_NUMBERS = st.sampled_from([80, 8080, 8081, 9090] * 6 + [19871, 19872])
_PORT_REFERENCES = st.one_of(_PORT_NUMBERS, st.sampled_from(["http", "metrics", "none"]))
_ACTIONS = st.one_of(
    st.fixed_dictionaries(
        {"httpGet": st.fixed_dictionaries({"port": _PORT_REFERENCES}, optional={"host": st.just("x")})}
    ),
    st.fixed_dictionaries({"tcpSocket": st.fixed_dictionaries({"port": _PORT_REFERENCES})}),
    st.fixed_dictionaries({"exec": st.fixed_dictionaries({"command": st.just(["curl", "localhost:8080"])})}),
)
_PROBES = st.one_of(_ACTIONS, st.fixed_dictionaries({"grpc": st.fixed_dictionaries({"port": _PORT_NUMBERS})}))
_PORTS = st.lists(
    st.fixed_dictionaries(
        {"containerPort": _PORT_NUMBERS},
        optional={"name": st.sampled_from(["http", "metrics"]), "protocol": st.sampled_from(["TCP", "UDP"])},
    ),
    max_size=3,
)
_CONTAINERS: st.SearchStrategy[Object] = st.fixed_dictionaries(
    {"name": _NAMES, "image": st.just("x")},
    optional={
        "ports": _PORTS,
        "readinessProbe": _PROBES,
        "livenessProbe": _PROBES,
        "startupProbe": _PROBES,
        "lifecycle": st.dictionaries(st.sampled_from(["postStart", "preStop"]), _ACTIONS),
        "restartPolicy": st.just("Always"),
        "command": st.sampled_from([["serve"], ["postern-sidecar"], ["postern-capture", "--guard", "1"]]),
        "securityContext": st.fixed_dictionaries({"runAsUser": st.sampled_from([0, 999, 1000, 1001, 64321])}),
    },
)


def _named(items: st.SearchStrategy[Object], *, least: int = 0) -> st.SearchStrategy[list[Object]]:
    return st.lists(items, min_size=least, max_size=3, unique_by=lambda item: str(item["name"]))


_VOLUMES: st.SearchStrategy[Object] = st.fixed_dictionaries(
    {"name": st.sampled_from(["data", "cache", "logs", "postern"]), "emptyDir": st.just({})}
)
_SPECS = st.fixed_dictionaries(
    {"containers": _named(_CONTAINERS, least=1)},
    optional={
        "initContainers": _named(_CONTAINERS),
        "volumes": _named(_VOLUMES),
        "hostNetwork": st.sampled_from([False, False, False, True]),
        "terminationGracePeriodSeconds": st.integers(0, 100),
    },
)
_METADATA = st.fixed_dictionaries(
    {"labels": st.just({"postern.dev/inject": "true"}), "annotations": st.just({"postern.dev/policy": "weather"})}
)
_PODS = st.fixed_dictionaries({"metadata": _METADATA, "spec": _SPECS})
_SERVERS = st.fixed_dictionaries(
    {"port": st.sampled_from([8080, 8080, 8080, "http", None])},
    optional={"exemptPorts": st.lists(st.sampled_from([9090, 80]))},
)
_OURS = ("postern", "postern-net")


@settings(max_examples=200, deadline=None)
@given(pod=_PODS, server=_SERVERS)
def test_pod_is_protected_or_refused_and_nothing_of_the_user_is_lost(pod: Object, server: Object) -> None:
    policy = make_policy(server=server)
    before = copy.deepcopy(pod)

    outcome = inject(pod, policy, SETTINGS, namespace=NAMESPACE)

    assert pod == before
    if isinstance(outcome, Refused):
        return
    _assert_protected(outcome.pod)
    _assert_kept(pod["spec"], outcome.pod["spec"])
    again = inject(outcome.pod, policy, SETTINGS, namespace=NAMESPACE)
    assert isinstance(again, Injected)
    assert again.pod == outcome.pod


def _assert_protected(pod: Object) -> None:
    net, sidecar, *others = pod["spec"]["initContainers"]
    everybody = [*others, *pod["spec"]["containers"]]
    upstream = next(e["value"] for e in sidecar["env"] if e["name"] == "POSTERN_UPSTREAM")
    assert [net["name"], sidecar["name"]] == ["postern-net", "postern"]
    assert sidecar["image"] == net["image"] == SETTINGS.sidecar_image
    assert sidecar["restartPolicy"] == "Always"
    assert "restartPolicy" not in net
    assert net["command"][:3] == ["postern-capture", "--guard", upstream.removeprefix("127.0.0.1:")]
    assert upstream.removeprefix("127.0.0.1:") not in net["command"][3:]
    assert not any(container["name"] in _OURS for container in everybody)
    assert not any((c.get("securityContext") or {}).get("runAsUser") == 64321 for c in everybody)
    assert not pod["spec"].get("hostNetwork")


def _assert_kept(before: Object, after: Object) -> None:
    """See that user containers keep place, order and every field but turned probes; other fields stay as they were."""
    for name in ("initContainers", "containers"):
        mine = [_without_probes(c) for c in before.get(name, []) if c["name"] not in _OURS]
        assert [_without_probes(c) for c in after[name] if c["name"] not in _OURS] == mine
    assert after["volumes"][:-1] == before.get("volumes", [])
    untouched = before.keys() - {"initContainers", "containers", "volumes"}
    assert {k: after[k] for k in untouched} == {k: before[k] for k in untouched}


def _without_probes(container: Object) -> Object:
    return {k: v for k, v in container.items() if not k.endswith("Probe") and k != "lifecycle"}
