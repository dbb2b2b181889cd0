import json
from typing import Any

import pytest

from postern_operator import names
from postern_operator.cluster import Cluster
from postern_operator.controller.reconcile import Reconciler
from postern_operator.controller.schedule import Outcome
from postern_operator.controller.snapshot import read_snapshot
from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict
from tests.operator.controller.conftest import Pass
from tests.operator.controller.objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    POD,
    POLICY,
    bare_pod,
    deployment,
    guarded_pod,
    policy,
    report,
)
from tests.operator.controller.sidecar import FakeSidecar
from tests.support.fake_apiserver import FakeApiServer

Object = dict[str, Any]


def stored(server: FakeApiServer, path: str) -> Object:
    found = server.get(path)
    assert found is not None
    return found


def status(server: FakeApiServer) -> Object:
    found: Object = stored(server, POLICY)["status"]
    return found


def condition(server: FakeApiServer, kind: str) -> tuple[str, str, str]:
    found = next(c for c in status(server)["conditions"] if c["type"] == kind)
    return found["status"], found["reason"], found["message"]


def events(server: FakeApiServer) -> list[str]:
    return [r.body["reason"] for r in server.requests if r.path.endswith("/events")]


def written(server: FakeApiServer) -> list[str]:
    return [f"{r.method} {r.path.split('/namespaces/team-a/')[-1]}" for r in server.writes()]


def config_hash(server: FakeApiServer) -> str:
    text = stored(server, CONFIG_MAP)["data"]["policy.json"]
    return str(json.loads(text)["hash"])


async def converge(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    """Bring a policy with one Deployment and one protected pod to rest."""
    server.put(POLICY, policy())
    server.put(DEPLOYMENT, deployment())
    await one_pass()
    template = stored(server, DEPLOYMENT)["spec"]["template"]["metadata"]
    server.put(DEPLOYMENT, stored(server, DEPLOYMENT) | {"status": deployment(pods=1)["status"]})
    stored(server, DEPLOYMENT)["status"]["observedGeneration"] = stored(server, DEPLOYMENT)["metadata"]["generation"]
    server.put(POD, guarded_pod(shape=template["annotations"][names.SHAPE_ANNOTATION]))
    sidecar.answer = report(config_hash(server))
    assert await one_pass() is Outcome.SETTLED


async def test_config_map_is_written_before_the_stamp_and_the_status_after(
    server: FakeApiServer, one_pass: Pass
) -> None:
    server.put(POLICY, policy())
    server.put(DEPLOYMENT, deployment())
    await one_pass()
    assert written(server)[:3] == [
        "PATCH configmaps/postern-weather",
        "PATCH deployments/weather",
        "PATCH mcpauthpolicies/weather/status",
    ]
    template = stored(server, DEPLOYMENT)["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "weather", names.INJECT_LABEL: "true"}
    assert template["spec"] == deployment()["spec"]["template"]["spec"]


async def test_config_map_that_cannot_be_written_keeps_workloads_unstamped(
    server: FakeApiServer, one_pass: Pass
) -> None:
    server.put(POLICY, policy())
    server.put(DEPLOYMENT, deployment())
    server.fail("PATCH", "configmaps", 422, times=9)
    assert await one_pass() is Outcome.UNSETTLED
    assert "PATCH deployments/weather" not in written(server)
    assert condition(server, "Programmed")[:2] == ("False", "ConfigMapRefused")


async def test_second_pass_writes_nothing(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    await converge(server, sidecar, one_pass)
    server.requests.clear()
    assert await one_pass() is Outcome.SETTLED
    assert server.writes() == []


async def test_converged_policy_is_ready_and_counts_its_pods(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    assert status(server)["readyTargets"] == "1/1"
    assert status(server)["configHash"] == config_hash(server)
    assert condition(server, "Ready")[0] == "True"
    assert condition(server, "Enforced")[0] == "True"


async def test_changed_policy_reaches_the_config_map_and_nudges_the_pod_once(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    old = config_hash(server)
    server.put(POLICY, stored(server, POLICY) | {"spec": policy(scopes={"required": ["read"]})["spec"]})
    server.requests.clear()
    for _ in range(3):
        assert await one_pass() is Outcome.UNSETTLED
    assert config_hash(server) != old
    assert written(server).count("PATCH pods/weather-1/status") == 1
    assert stored(server, POD)["metadata"]["annotations"][names.CONFIG_ANNOTATION] == config_hash(server)
    assert condition(server, "Enforced")[0] == "False"
    sidecar.answer = report(config_hash(server))
    assert await one_pass() is Outcome.SETTLED
    assert condition(server, "Ready")[0] == "True"


async def test_policy_changed_forth_and_back_nudges_again_while_the_other_file_may_be_on_its_way(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    good = config_hash(server)
    spec = stored(server, POLICY)["spec"]
    server.put(POLICY, stored(server, POLICY) | {"spec": policy(scopes={"required": ["read"]})["spec"]})
    await one_pass()
    server.put(POLICY, stored(server, POLICY) | {"spec": spec})
    await one_pass()
    assert stored(server, POD)["metadata"]["annotations"][names.CONFIG_ANNOTATION] == good


async def test_hash_that_no_sidecar_reports_is_never_called_enforced(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    sidecar.answer = {}
    assert await one_pass() is Outcome.UNSETTLED
    assert condition(server, "Enforced")[0] != "True"
    assert condition(server, "Ready")[0] != "True"


async def test_pod_without_the_sidecar_is_told_as_unprotected(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    server.put(f"{POD}-old", bare_pod())
    stored(server, DEPLOYMENT)["status"]["replicas"] = 2
    assert await one_pass() is Outcome.UNSETTLED
    assert status(server)["targets"]["unprotected"] == 1
    assert condition(server, "Enforced")[0] == "False"


async def test_unlabelled_pods_are_only_looked_for_while_pods_are_missing(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    server.requests.clear()
    await one_pass()
    assert [r.query["labelSelector"] for r in server.requests if r.path.endswith("/pods")] == [
        f"{names.INJECT_LABEL}=true"
    ]


async def test_bad_stored_spec_is_told_and_leaves_the_config_map_as_it_was(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    before = stored(server, CONFIG_MAP)
    server.put(POLICY, stored(server, POLICY) | {"spec": {"resource": {"url": "ftp://x"}, "mode": "Direct"}})
    server.requests.clear()
    assert await one_pass() is not None
    assert stored(server, CONFIG_MAP) == before
    assert "PATCH configmaps/postern-weather" not in written(server)
    told = condition(server, "Accepted")
    assert told[:2] == ("False", "Invalid")
    assert "spec.provider" in told[2]


async def test_stamp_that_is_refused_is_told_and_does_not_hide_the_rest(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, policy())
    server.put(DEPLOYMENT, deployment())
    server.put(DEPLOYMENT + "-2", deployment())
    server.fail("PATCH", "deployments/weather", 403)
    assert await one_pass() is Outcome.UNSETTLED
    told = condition(server, "Programmed")
    assert told[:2] == ("False", "StampRefused")
    assert "Deployment weather" in told[2]
    assert stored(server, DEPLOYMENT + "-2")["spec"]["template"]["metadata"]["labels"][names.INJECT_LABEL] == "true"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(None, "CABundleNotFound", id="no ConfigMap"),
        pytest.param({"other": "x"}, "CABundleKeyNotFound", id="no key"),
    ],
)
async def test_missing_ca_bundle_is_told_until_it_is_there(
    server: FakeApiServer, one_pass: Pass, data: Object | None, reason: str
) -> None:
    path = "/api/v1/namespaces/team-a/configmaps/idp-ca"
    server.put(POLICY, policy(caBundle={"configMap": {"name": "idp-ca", "key": "ca.crt"}}))
    if data is not None:
        server.put(path, {"data": data})
    assert await one_pass() is Outcome.UNSETTLED
    assert condition(server, "ResolvedRefs")[:2] == ("False", reason)
    server.put(path, {"data": {"ca.crt": "PEM"}})
    await one_pass()
    assert condition(server, "ResolvedRefs")[0] == "True"


async def test_deleted_policy_is_left_alone(server: FakeApiServer, one_pass: Pass) -> None:
    assert await one_pass() is None
    leaving = policy() | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    server.put(POLICY, leaving)
    assert await one_pass() is Outcome.SETTLED
    assert server.writes() == []


async def test_lost_config_map_is_written_again(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    await converge(server, sidecar, one_pass)
    server.delete(CONFIG_MAP)
    await one_pass()
    assert server.get(CONFIG_MAP) is not None


async def test_edited_config_map_is_put_right_and_foreign_keys_stay(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    good = stored(server, CONFIG_MAP)["data"]["policy.json"]
    server.put(CONFIG_MAP, stored(server, CONFIG_MAP) | {"data": {"policy.json": "{}", "note": "theirs"}})
    await one_pass()
    assert stored(server, CONFIG_MAP)["data"] == {"policy.json": good, "note": "theirs"}


async def test_closed_port_is_not_called_enforced_before_the_pods_are_new(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    open_port = policy(server={"exemptPorts": [9090]})["spec"]
    server.put(POLICY, stored(server, POLICY) | {"spec": open_port})
    assert await one_pass() is Outcome.UNSETTLED
    assert status(server)["observedGeneration"] == stored(server, POLICY)["metadata"]["generation"]
    assert condition(server, "Enforced")[:2] == ("False", "Updating")
    assert condition(server, "Ready")[0] == "False"


async def test_stamp_that_no_webhook_answers_for_is_told_and_tried_again(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, policy())
    server.put(DEPLOYMENT, deployment())
    server.fail("PATCH", "deployments/weather", 500)
    assert await one_pass() is Outcome.UNSETTLED
    told = condition(server, "Programmed")
    assert told[:2] == ("False", "StampFailed")
    assert "Deployment weather" in told[2]
    await one_pass()
    assert condition(server, "Programmed")[0] == "True"


async def test_outage_of_the_api_server_is_raised_and_the_next_pass_completes(
    server: FakeApiServer, one_pass: Pass
) -> None:
    server.put(POLICY, policy())
    server.put(DEPLOYMENT, deployment())
    server.fail("PATCH", "", 503, times=3)
    with pytest.raises(ClusterUnavailable):
        await one_pass()
    server.faults.clear()
    await one_pass()
    assert condition(server, "Programmed")[0] == "True"


async def test_conflict_is_raised(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, policy())
    server.fail("PATCH", "status", 409)
    with pytest.raises(Conflict):
        await one_pass()


async def test_refused_status_is_raised_before_any_event(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, policy())
    server.fail("PATCH", "status", 403)
    with pytest.raises(ClusterError):
        await one_pass()
    assert events(server) == []


async def test_events_tell_transitions_once(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    await converge(server, sidecar, one_pass)
    assert events(server).count("PolicyAccepted") == 1
    assert len(events(server)) == len(set(events(server)))


async def test_workload_that_left_raises_an_event(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    await converge(server, sidecar, one_pass)
    server.delete(DEPLOYMENT)
    server.delete(POD)
    await one_pass()
    assert events(server)[-1] == "Unprotected"


async def test_lost_event_does_not_hold_up_the_status(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, policy())
    server.fail("POST", "events", 500, times=9)
    assert await one_pass() is Outcome.SETTLED
    assert condition(server, "Accepted")[0] == "True"


async def test_unchanged_policy_costs_no_call_in_a_pass_over_a_snapshot(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, api: Cluster, reconciler: Reconciler
) -> None:
    await converge(server, sidecar, one_pass)
    seen = (await read_snapshot(api)).take(("team-a", "weather"))
    assert seen is not None
    server.requests.clear()
    assert await reconciler.reconcile(seen) is Outcome.SETTLED
    assert server.requests == []


async def test_old_snapshot_never_brings_back_an_old_policy(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, api: Cluster, reconciler: Reconciler
) -> None:
    await converge(server, sidecar, one_pass)
    server.delete(CONFIG_MAP)  # so that the pass over the snapshot has something to write
    seen = (await read_snapshot(api)).take(("team-a", "weather"))
    assert seen is not None
    server.put(POLICY, stored(server, POLICY) | {"spec": policy(scopes={"required": ["read"]})["spec"]})
    server.requests.clear()
    with pytest.raises(Conflict):
        await reconciler.reconcile(seen)
    assert server.writes() == []


async def test_snapshot_of_a_deleted_policy_writes_nothing(
    server: FakeApiServer, api: Cluster, reconciler: Reconciler
) -> None:
    server.put(POLICY, policy())
    seen = (await read_snapshot(api)).take(("team-a", "weather"))
    assert seen is not None
    server.delete(POLICY)
    with pytest.raises(Conflict):
        await reconciler.reconcile(seen)
    assert server.writes() == []
