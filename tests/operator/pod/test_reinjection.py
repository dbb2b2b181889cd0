"""What happens when a pod comes back: after another webhook changed it, or copied from a running one."""

import json
from typing import Any

from postern_operator.pod.decision import Reason
from tests.operator.pod.samples import injected, make_pod, make_policy, merged, refused

Object = dict[str, Any]
PROBE = {"httpGet": {"path": "/healthz", "port": 8080}, "timeoutSeconds": 3}


def _originals(pod: Object) -> Object:
    environment = pod["spec"]["initContainers"][1]["env"]
    found: Object = json.loads(next((e["value"] for e in environment if e["name"] == "POSTERN_PROBES"), "{}"))
    return found


def _with_probe() -> Object:
    app = {**make_pod()["spec"]["containers"][0], "readinessProbe": PROBE}
    return make_pod(spec={"containers": [app]})


def test_container_added_later_has_its_probe_turned_and_the_first_is_kept() -> None:
    once = injected(_with_probe()).pod
    late = {"name": "late", "image": "x", "livenessProbe": {"tcpSocket": {"port": 8080}}}

    twice = injected(merged(once, {"spec": {"containers": [*once["spec"]["containers"], late]}})).pod

    assert _originals(twice).keys() == {"app/readiness", "late/liveness"}
    assert _originals(twice)["app/readiness"] == _originals(once)["app/readiness"]
    assert twice["spec"]["containers"][0] == once["spec"]["containers"][0]


def test_probe_replaced_meanwhile_is_turned_anew() -> None:
    once = injected(_with_probe()).pod
    app = {**once["spec"]["containers"][0], "readinessProbe": {"httpGet": {"path": "/other", "port": 8080}}}

    twice = injected(merged(once, {"spec": {"containers": [app]}})).pod

    assert _originals(twice)["app/readiness"]["httpGet"]["path"] == "/other"


def test_probe_removed_meanwhile_leaves_nothing_behind() -> None:
    once = injected(_with_probe()).pod
    app = {k: v for k, v in once["spec"]["containers"][0].items() if k != "readinessProbe"}

    assert _originals(injected(merged(once, {"spec": {"containers": [app]}})).pod) == {}


def test_forged_original_without_a_turned_probe_opens_nothing() -> None:
    once = injected(make_pod()).pod
    forged = {"name": "POSTERN_PROBES", "value": '{"app/readiness":{"httpGet":{"path":"/admin","port":9000}}}'}
    once["spec"]["initContainers"][1]["env"].append(forged)

    assert _originals(injected(once).pod) == {}


def test_unreadable_originals_refuse_the_probe_that_needs_them() -> None:
    once = injected(_with_probe()).pod
    for entry in once["spec"]["initContainers"][1]["env"]:
        if entry["name"] == "POSTERN_PROBES":
            entry["value"] = "{"

    assert refused(once).reason == Reason.PORT_CLASH


def test_changed_sidecar_is_rendered_anew() -> None:
    once = injected(make_pod()).pod
    changed = merged(once, {})
    changed["spec"]["initContainers"][1] |= {"image": "evil:1", "env": [], "securityContext": {"runAsUser": 0}}
    changed["spec"]["initContainers"][0]["command"] = ["postern-capture", "--guard", "1"]

    assert injected(changed).pod == once


def test_sidecar_that_was_moved_comes_first_again() -> None:
    once = injected(make_pod()).pod
    user = {"name": "user", "image": "x"}
    moved = merged(once, {"spec": {"initContainers": [user, *reversed(once["spec"]["initContainers"])]}})

    names = [container["name"] for container in injected(moved).pod["spec"]["initContainers"]]

    assert names == ["postern-net", "postern", "user"]


def test_volume_keeps_its_place_and_gets_its_content_back() -> None:
    once = injected(make_pod()).pod
    ours = once["spec"]["volumes"][0]
    changed = merged(ours, {"projected": {"defaultMode": 511}})
    later = merged(once, {"spec": {"volumes": [changed, {"name": "late", "emptyDir": {}}]}})

    assert injected(later).pod["spec"]["volumes"] == [ours, {"name": "late", "emptyDir": {}}]


def test_new_policy_and_image_replace_the_old_form() -> None:
    once = injected(make_pod()).pod

    twice = injected(once, make_policy(server={"exemptPorts": [9090]})).pod

    assert twice == injected(make_pod(), make_policy(server={"exemptPorts": [9090]})).pod


def test_injected_annotation_alone_protects_nothing_and_skips_nothing() -> None:
    marked = make_pod(metadata={"annotations": {"postern.dev/injected": '{"shape":"x"}'}})

    assert injected(marked).pod == injected(make_pod()).pod
