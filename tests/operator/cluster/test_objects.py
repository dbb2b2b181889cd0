import asyncio

import pytest

from postern_operator import names
from postern_operator.cluster import Cluster, cluster, load_configuration
from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict
from tests.support.fake_apiserver import FakeApiServer

POLICIES = "/apis/postern.dev/v1alpha1/namespaces/team-a/mcpauthpolicies"
APPLY = "application/apply-patch+yaml"


def policy(**metadata: object) -> dict[str, object]:
    return {
        "apiVersion": "postern.dev/v1alpha1",
        "kind": "McpAuthPolicy",
        "metadata": {"name": "weather", "namespace": "team-a", **metadata},
    }


async def test_absent_object_is_none(api: Cluster) -> None:
    assert await api.get_policy("team-a", "weather") is None


@pytest.mark.parametrize("name", ["..", "", "a/b", "Weather", "weather?x=1", "%2e%2e"])
async def test_impossible_name_is_none_without_a_request(api: Cluster, server: FakeApiServer, name: str) -> None:
    assert await api.get_policy("team-a", name) is None
    assert server.requests == []


async def test_impossible_namespace_is_refused_without_a_request(api: Cluster, server: FakeApiServer) -> None:
    with pytest.raises(ClusterError, match="cannot be the name"):
        [pod async for pod in api.list_pods("../kube-system")]
    assert server.requests == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        pytest.param(400, ClusterError, id="bad request"),
        pytest.param(403, ClusterError, id="forbidden"),
        pytest.param(409, Conflict, id="conflict"),
        pytest.param(422, ClusterError, id="invalid"),
        pytest.param(401, ClusterUnavailable, id="token rotating"),
        pytest.param(429, ClusterUnavailable, id="too many requests"),
        pytest.param(500, ClusterUnavailable, id="broken"),
        pytest.param(503, ClusterUnavailable, id="overloaded"),
        pytest.param(0, ClusterUnavailable, id="connection lost"),
    ],
)
async def test_refusal_becomes_an_error_of_ours(
    api: Cluster, server: FakeApiServer, status: int, error: type[Exception]
) -> None:
    server.fail("GET", "mcpauthpolicies", status, times=2)
    with pytest.raises(error) as caught:
        await api.get_policy("team-a", "weather")
    assert type(caught.value) is error
    assert "GET /apis/postern.dev/v1alpha1/namespaces/team-a/mcpauthpolicies/weather" in str(caught.value)


async def test_forbidden_call_names_the_cluster_role(api: Cluster, server: FakeApiServer) -> None:
    server.fail("GET", "mcpauthpolicies", 403)
    with pytest.raises(ClusterError, match="ClusterRole"):
        await api.get_policy("team-a", "weather")


async def test_silent_server_is_unavailable_after_the_bound(api: Cluster, server: FakeApiServer) -> None:
    server.fail("GET", "mcpauthpolicies", 200, delay_s=5)
    async with asyncio.timeout(2):
        with pytest.raises(ClusterUnavailable, match="no answer"):
            await api.get_policy("team-a", "weather", timeout_s=0.05)


async def test_unreachable_server_is_unavailable(server: FakeApiServer, environment: dict[str, str]) -> None:
    configuration = await load_configuration(environment)
    configuration.host = "http://127.0.0.1:1"
    async with cluster(configuration, lambda *_: None) as api:
        with pytest.raises(ClusterUnavailable):
            await api.get_policy("team-a", "weather")


async def test_calls_are_observed_with_method_and_code(server: FakeApiServer, environment: dict[str, str]) -> None:
    seen: list[tuple[str, str]] = []
    async with cluster(
        await load_configuration(environment), lambda method, code, _: seen.append((method, code))
    ) as api:
        await api.get_policy("team-a", "weather")
        server.fail("GET", "mcpauthpolicies", 0, times=2)
        with pytest.raises(ClusterUnavailable):
            await api.get_policy("team-a", "weather")
    assert seen == [("GET", "404"), ("GET", "error")]


async def test_list_reads_every_page(api: Cluster, server: FakeApiServer) -> None:
    for number in range(1100):
        server.put(f"{POLICIES}/p{number}", {"metadata": {"managedFields": [{"manager": "kubectl"}]}, "spec": {}})
    found = [item async for item in api.list_policies()]
    assert len({item["metadata"]["name"] for item in found}) == 1100
    assert [request.query.get("continue") for request in server.requests] == [None, "500", "1000"]
    assert all("managedFields" not in item["metadata"] for item in found)


async def test_list_that_expires_before_its_last_page_is_unavailable(api: Cluster, server: FakeApiServer) -> None:
    for number in range(600):
        server.put(f"{POLICIES}/p{number}", {"spec": {}})
    server.fail("GET", "continue=500", 410)
    with pytest.raises(ClusterUnavailable, match="410"):
        [item async for item in api.list_policies()]


async def test_only_annotated_workloads_are_listed_each_with_its_kind(api: Cluster, server: FakeApiServer) -> None:
    annotated = {"metadata": {"annotations": {names.POLICY_ANNOTATION: "weather", "huge": "x" * 99}}, "spec": {}}
    server.put("/apis/apps/v1/namespaces/team-a/deployments/guarded", annotated)
    server.put("/apis/apps/v1/namespaces/team-a/deployments/plain", {"spec": {}})
    server.put("/apis/apps/v1/namespaces/team-b/daemonsets/guarded", annotated)
    found = [item async for item in api.list_workloads()]
    assert [(item["kind"], item["metadata"]["name"]) for item in found] == [
        ("Deployment", "guarded"),
        ("DaemonSet", "guarded"),
    ]
    assert found[0]["metadata"]["annotations"] == {names.POLICY_ANNOTATION: "weather"}
    assert [item["kind"] async for item in api.list_workloads("team-b")] == ["DaemonSet"]


async def test_pods_are_selected_by_the_server(api: Cluster, server: FakeApiServer) -> None:
    server.put("/api/v1/namespaces/team-a/pods/in", {"metadata": {"labels": {names.INJECT_LABEL: "true"}}, "spec": {}})
    server.put("/api/v1/namespaces/team-a/pods/out", {"spec": {}})
    assert [pod["metadata"]["name"] async for pod in api.list_pods("team-a")] == ["in"]


async def test_config_map_is_applied_server_side_under_our_manager(api: Cluster, server: FakeApiServer) -> None:
    await api.apply_config_map({"metadata": {"name": "postern-weather", "namespace": "team-a"}, "data": {"a": "1"}})
    (request,) = server.requests
    assert (request.method, request.content_type) == ("PATCH", APPLY)
    assert request.query == {"fieldManager": "postern", "force": "true"}


async def test_status_is_applied_with_the_uid_under_its_own_manager(api: Cluster, server: FakeApiServer) -> None:
    stored = server.put(f"{POLICIES}/weather", policy())
    await api.patch_status(stored, {"configHash": "abc"})
    (request,) = server.requests
    assert request.path.endswith("/mcpauthpolicies/weather/status")
    assert (request.content_type, request.query["fieldManager"]) == (APPLY, "postern-status")
    assert request.body["metadata"]["uid"] == stored["metadata"]["uid"]
    after = server.get(f"{POLICIES}/weather")
    assert after is not None
    assert after["status"] == {"configHash": "abc"}


async def test_status_of_a_recreated_policy_is_a_conflict(api: Cluster, server: FakeApiServer) -> None:
    old = server.put(f"{POLICIES}/weather", policy())
    server.delete(f"{POLICIES}/weather")
    server.put(f"{POLICIES}/weather", policy(uid="another"))
    with pytest.raises(Conflict):
        await api.patch_status(old, {})


async def test_nudge_goes_through_the_status_subresource_and_names_the_uid(api: Cluster, server: FakeApiServer) -> None:
    pod = server.put("/api/v1/namespaces/team-a/pods/weather-1", {"spec": {}})
    await api.nudge_pod(pod, "abc")
    (request,) = server.requests
    assert request.path == "/api/v1/namespaces/team-a/pods/weather-1/status"
    assert request.content_type == "application/merge-patch+json"
    assert request.body == {"metadata": {"uid": pod["metadata"]["uid"], "annotations": {"postern.dev/config": "abc"}}}


async def test_secret_is_created_once_and_then_updated_on_its_version(api: Cluster, server: FakeApiServer) -> None:
    secret = {"metadata": {"name": "cert", "namespace": "postern-system"}, "data": {}}
    await api.write_secret(secret)
    with pytest.raises(Conflict):
        await api.write_secret(secret)
    present = await api.get_secret("postern-system", "cert")
    assert present is not None
    await api.write_secret(present | {"data": {"a": "MQ=="}})
    with pytest.raises(Conflict):
        await api.write_secret(present | {"data": {"a": "Mg=="}})


async def test_ca_bundle_is_patched_by_name_and_leaves_the_rest_alone(api: Cluster, server: FakeApiServer) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/postern"
    webhooks = [{"name": n, "clientConfig": {"service": {"name": "s"}}, "rules": [1]} for n in ("a", "b")]
    present = server.put(path, {"webhooks": webhooks})
    await api.patch_ca_bundle(present, ["b"], "Qg==")
    after = server.get(path)
    assert after is not None
    assert after["webhooks"][0] == webhooks[0]
    assert after["webhooks"][1] == {**webhooks[1], "clientConfig": {"service": {"name": "s"}, "caBundle": "Qg=="}}
    assert server.requests[0].content_type == "application/strategic-merge-patch+json"
    with pytest.raises(Conflict):
        await api.patch_ca_bundle(present, ["a"], "Qg==")


async def test_event_is_created_in_the_namespace(api: Cluster, server: FakeApiServer) -> None:
    await api.create_event({"metadata": {"generateName": "weather-", "namespace": "team-a"}, "note": "x"})
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/apis/events.k8s.io/v1/namespaces/team-a/events")
