"""Key rings in the cluster: when they are written, when they go, and that nobody has to read them for it."""

import base64
from typing import Any

import pytest

from postern_crds.key_ring import KeyRing, decode
from postern_operator import names
from postern_operator.cluster import Cluster
from postern_operator.controller.reconcile import Reconciler
from postern_operator.controller.schedule import Outcome
from postern_operator.controller.snapshot import read_snapshot
from postern_operator.errors import ClusterUnavailable
from postern_operator.policy.keyring import EPOCH_S
from tests.operator.controller.conftest import Clock, Pass
from tests.operator.controller.objects import (
    CONFIG_MAP,
    DEPLOYMENT,
    KEYS,
    MASTER_KEYS,
    POD,
    POLICY,
    deployment,
    guarded_pod,
    policy,
    proxy_policy,
    report,
)
from tests.operator.controller.sidecar import FakeSidecar
from tests.operator.controller.test_reconcile import condition, config_hash, status, stored, written
from tests.support.fake_apiserver import FakeApiServer

Object = dict[str, Any]


def ring_of(server: FakeApiServer) -> KeyRing:
    return decode(base64.b64decode(stored(server, KEYS)["data"]["keys.json"]))


def told_version(server: FakeApiServer) -> str:
    return str(stored(server, POD)["metadata"]["annotations"][names.CONFIG_ANNOTATION])


def change(server: FakeApiServer, wanted: Object) -> None:
    server.put(POLICY, stored(server, POLICY) | {"spec": wanted["spec"]})


async def converge(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    """Bring a policy in mode Proxy with one Deployment and one protected pod to rest."""
    server.put(POLICY, proxy_policy())
    server.put(DEPLOYMENT, deployment())
    await one_pass()
    workload = stored(server, DEPLOYMENT)
    server.put(DEPLOYMENT, workload | {"status": deployment(pods=1)["status"]})
    stored(server, DEPLOYMENT)["status"]["observedGeneration"] = stored(server, DEPLOYMENT)["metadata"]["generation"]
    shape = workload["spec"]["template"]["metadata"]["annotations"][names.SHAPE_ANNOTATION]
    server.put(POD, guarded_pod(shape=shape))
    sidecar.answer = report(config_hash(server), client="ready")
    assert await one_pass() is Outcome.SETTLED
    server.requests.clear()


async def test_keys_are_written_before_the_config_map_and_that_before_the_stamp(
    server: FakeApiServer, one_pass: Pass
) -> None:
    server.put(POLICY, proxy_policy())
    server.put(DEPLOYMENT, deployment())
    await one_pass()
    assert written(server)[:5] == [
        "POST /api/v1/namespaces/postern-system/secrets",
        "PATCH secrets/postern-weather-keys",
        "PATCH configmaps/postern-weather",
        "PATCH deployments/weather",
        "PATCH mcpauthpolicies/weather/status",
    ]


async def test_keys_belong_to_the_policy_and_are_a_ring_that_a_sidecar_reads(
    server: FakeApiServer, one_pass: Pass
) -> None:
    server.put(POLICY, proxy_policy())
    await one_pass()
    secret, owner = stored(server, KEYS), stored(server, POLICY)["metadata"]["uid"]
    assert secret["metadata"]["labels"] == {names.MANAGED_LABEL: "true", names.POLICY_LABEL: "weather"}
    assert [reference["uid"] for reference in secret["metadata"]["ownerReferences"]] == [owner]
    assert len(ring_of(server).keys) == 8
    assert list(stored(server, MASTER_KEYS)["data"]) == ["20260101T000000Z"]


async def test_mode_direct_has_no_keys_and_no_master_key(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, policy())
    await one_pass()
    assert [request.path for request in server.requests if "/secrets" in request.path] == []
    assert names.KEYS_ANNOTATION not in (stored(server, CONFIG_MAP)["metadata"].get("annotations") or {})


async def test_second_pass_writes_no_keys(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    await converge(server, sidecar, one_pass)
    await one_pass()
    assert server.writes() == []


async def test_keys_of_tenants_are_never_read(server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass) -> None:
    await converge(server, sidecar, one_pass)
    change(server, policy())
    await one_pass()
    read = [request.path for request in server.requests if request.method == "GET" and "/secrets" in request.path]
    assert set(read) <= {MASTER_KEYS}


async def test_next_epoch_brings_a_new_key_to_the_secret_and_nudges_the_pod_once(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, clock: Clock
) -> None:
    await converge(server, sidecar, one_pass)
    before, told = ring_of(server), told_version(server)
    clock.advance(EPOCH_S)
    await one_pass()
    await one_pass()
    after = ring_of(server)
    assert after.keys[:-1] == before.keys[1:]
    assert after.keys[-1].not_before == before.keys[-1].not_before + EPOCH_S
    # The file policy.json is the same, and yet the kubelet is asked to look.
    assert told_version(server).partition(".")[0] == told.partition(".")[0] == config_hash(server)
    assert told_version(server) != told
    assert written(server) == [
        "PATCH secrets/postern-weather-keys",
        "PATCH configmaps/postern-weather",
        "PATCH pods/weather-1/status",
    ]


async def test_added_master_key_joins_the_ring_and_takes_over_later(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, clock: Clock
) -> None:
    await converge(server, sidecar, one_pass)
    before = ring_of(server)
    clock.advance(3600)
    master = stored(server, MASTER_KEYS)
    new = {"20260101T010000Z": base64.b64encode(b"n" * 32).decode()}
    server.put(MASTER_KEYS, master | {"data": master["data"] | new})
    await one_pass()
    keys = ring_of(server).keys
    assert keys[:7] == before.keys[:7]
    assert [key.kid[:16] for key in keys[7:]] == ["20260101T010000Z"] * 2
    assert keys[7].not_before - before.keys[6].not_before > 600


async def test_removed_master_key_takes_its_keys_along(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, clock: Clock
) -> None:
    await converge(server, sidecar, one_pass)
    before = {key.secret for key in ring_of(server).keys}
    clock.advance(3600)
    new = {"20260101T010000Z": base64.b64encode(b"n" * 32).decode()}
    server.put(MASTER_KEYS, stored(server, MASTER_KEYS) | {"data": new})
    await one_pass()
    assert not before & {key.secret for key in ring_of(server).keys}


async def test_fresh_pod_is_nudged_once_because_it_cannot_tell_its_keys(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    assert told_version(server).startswith(f"{config_hash(server)}.")


async def test_deleted_keys_come_back_with_the_next_pass_over_the_cluster(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, api: Cluster, reconciler: Reconciler
) -> None:
    await converge(server, sidecar, one_pass)
    before = ring_of(server)
    server.delete(KEYS)
    seen = (await read_snapshot(api)).take(("team-a", "weather"))
    assert seen is not None
    assert await reconciler.reconcile(seen) is Outcome.SETTLED
    assert ring_of(server) == before
    assert written(server) == ["PATCH secrets/postern-weather-keys"]


async def test_old_snapshot_never_brings_back_the_keys_of_a_policy_that_went_direct(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, api: Cluster, reconciler: Reconciler
) -> None:
    await converge(server, sidecar, one_pass)
    seen = (await read_snapshot(api)).take(("team-a", "weather"))
    assert seen is not None
    change(server, policy())
    await one_pass()
    with pytest.raises(Exception, match="changed since it was listed"):
        await reconciler.reconcile(seen)
    assert server.get(KEYS) is None


async def test_keys_go_when_the_mode_becomes_direct(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    change(server, policy())
    await one_pass()
    assert server.get(KEYS) is None
    assert names.KEYS_ANNOTATION not in (stored(server, CONFIG_MAP)["metadata"].get("annotations") or {})
    assert written(server)[:2] == ["DELETE secrets/postern-weather-keys", "PATCH configmaps/postern-weather"]
    server.requests.clear()
    await one_pass()
    assert [line for line in written(server) if "secrets" in line] == []


async def test_keys_that_cannot_be_deleted_are_tried_again(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    change(server, policy())
    server.fail("DELETE", "secrets", 403)
    assert await one_pass() is Outcome.UNSETTLED
    assert condition(server, "Programmed")[:2] == ("False", "KeysRefused")
    await one_pass()
    assert server.get(KEYS) is None


async def test_keys_that_somebody_deleted_already_are_no_fault(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    server.delete(KEYS)
    change(server, policy())
    await one_pass()
    assert condition(server, "Programmed")[0] == "True"


async def test_keys_that_are_refused_hold_back_config_map_stamp_and_nudge(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, clock: Clock
) -> None:
    await converge(server, sidecar, one_pass)
    clock.advance(EPOCH_S)
    server.fail("PATCH", "secrets", 422)
    assert await one_pass() is Outcome.UNSETTLED
    assert written(server) == [
        "PATCH secrets/postern-weather-keys",
        "PATCH mcpauthpolicies/weather/status",
        "POST events",
    ]
    told = condition(server, "Programmed")
    assert told[:2] == ("False", "KeysRefused")
    await one_pass()
    assert condition(server, "Programmed")[0] == "True"
    assert "PATCH pods/weather-1/status" in written(server)


async def test_policy_beside_the_operator_cannot_write_over_the_master_keys(
    server: FakeApiServer, reconciler: Reconciler, api: Cluster
) -> None:
    master = server.put(MASTER_KEYS, {"data": {"20250101T000000Z": base64.b64encode(b"m" * 32).decode()}})
    path = "/apis/postern.dev/v1alpha1/namespaces/postern-system/mcpauthpolicies/master"
    server.put(path, proxy_policy())
    seen = (await read_snapshot(api)).take(("postern-system", "master"))
    assert seen is not None
    await reconciler.reconcile(seen)
    assert stored(server, MASTER_KEYS) == master
    conditions = {c["type"]: (c["status"], c["reason"]) for c in stored(server, path)["status"]["conditions"]}
    assert conditions["Programmed"] == ("False", "OwnNamespace")


@pytest.mark.parametrize(
    "data", [{}, {"20260101T000000Z": "c2hvcnQ="}, {"readme": "a"}], ids=["empty", "short", "other"]
)
async def test_master_keys_that_are_spoilt_are_told_and_never_written_over(
    server: FakeApiServer, one_pass: Pass, data: Object
) -> None:
    server.put(MASTER_KEYS, {"data": data})
    server.put(POLICY, proxy_policy())
    assert await one_pass() is Outcome.UNSETTLED
    assert condition(server, "Programmed")[:2] == ("False", "NoMasterKey")
    assert stored(server, MASTER_KEYS)["data"] == data
    assert server.get(KEYS) is None
    assert server.get(CONFIG_MAP) is None


async def test_master_keys_that_may_not_be_read_are_told(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, proxy_policy())
    server.fail("GET", "postern-master-keys", 403)
    assert await one_pass() is Outcome.UNSETTLED
    assert condition(server, "Programmed")[:2] == ("False", "NoMasterKey")


async def test_outage_while_the_master_keys_are_read_is_raised_and_changes_nothing(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, clock: Clock
) -> None:
    await converge(server, sidecar, one_pass)
    before = stored(server, KEYS)
    clock.advance(EPOCH_S)
    server.fail("GET", "postern-master-keys", 503, times=3)
    with pytest.raises(ClusterUnavailable):
        await one_pass()
    assert stored(server, KEYS) == before


async def test_missing_client_secret_is_told_with_its_place_until_the_sidecars_have_it(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    sidecar.answer = report(config_hash(server), client="secret_missing")
    assert await one_pass() is Outcome.UNSETTLED
    told = condition(server, "ResolvedRefs")
    assert told[:2] == ("False", "ClientSecretMissing")
    assert "Secret team-a/weather-login, key password" in told[2]
    assert condition(server, "Ready")[:2] == ("False", "ClientSecretMissing")
    sidecar.answer = report(config_hash(server), client="ready")
    assert await one_pass() is Outcome.SETTLED
    assert condition(server, "ResolvedRefs")[0] == "True"


async def test_missing_keys_in_a_pod_are_told_and_looked_after(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass
) -> None:
    await converge(server, sidecar, one_pass)
    sidecar.answer = report(config_hash(server), client="keys_missing")
    assert await one_pass() is Outcome.UNSETTLED
    assert condition(server, "Programmed")[:2] == ("False", "KeysMissing")


async def test_callback_url_is_in_the_status(server: FakeApiServer, one_pass: Pass) -> None:
    server.put(POLICY, proxy_policy())
    await one_pass()
    assert status(server)["callbackURL"] == "https://mcp.example.com/oauth/callback"
    assert "https://mcp.example.com/oauth/callback" in condition(server, "Accepted")[2]


async def test_no_key_stands_in_anything_but_the_two_secrets(
    server: FakeApiServer, sidecar: FakeSidecar, one_pass: Pass, caplog: pytest.LogCaptureFixture
) -> None:
    await converge(server, sidecar, one_pass)
    secrets = [key.secret for key in ring_of(server).keys] + list(stored(server, MASTER_KEYS)["data"].values())
    rest = [value for key, value in server.objects.items() if not key[0].endswith("secrets")]
    assert not [secret for secret in secrets if secret in repr(rest) or secret in caplog.text]
