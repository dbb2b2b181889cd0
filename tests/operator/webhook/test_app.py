import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from postern_operator.certificates.serving import LiveCertificate
from postern_operator.cluster import Cluster
from postern_operator.errors import ClusterError, ClusterUnavailable
from postern_operator.metrics import Metrics, exposition, metrics
from postern_operator.serving import bind, serve
from postern_operator.settings import Settings
from postern_operator.webhook.app import Admission, create_app
from tests.operator.controller.objects import POLICY, policy
from tests.support.ca import PrivateCA
from tests.support.fake_apiserver import FakeApiServer

Object = dict[str, Any]
NAME = "postern-webhook.postern-system.svc"
SETTINGS = Settings(sidecar_image="registry.example.com/sidecar:1")
GUARDED = {"labels": {"postern.dev/inject": "true"}, "annotations": {"postern.dev/policy": "weather"}}


def review(metadata: Object | None = None, **request: Any) -> Object:
    """An AdmissionReview for the creation of a pod."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "weather-", **(metadata or {})},
        "spec": {"containers": [{"name": "app", "image": "weather:1", "ports": [{"containerPort": 8000}]}]},
    }
    asked = {
        "uid": "0b4ad1b0",
        "operation": "CREATE",
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "team-a",
        "object": pod,
        "userInfo": {"username": "somebody"},
        **request,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}


class Reader:
    """A cluster that says what the test wants."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.has_policy = True
        self.policies = 0
        self.namespaces = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def get_policy(self, namespace: str, name: str, *, timeout_s: float) -> Object | None:
        self.policies += 1
        found = self.has_policy
        await self.gate.wait()
        if self.error:
            raise self.error
        if not found:
            return None
        return policy() | {"metadata": {"name": name, "namespace": namespace, "uid": "u", "generation": 1}}

    async def get_namespace(self, name: str, *, timeout_s: float) -> Object | None:
        self.namespaces += 1
        return {"metadata": {"name": name}}


@asynccontextmanager
async def client(admission: Admission, directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve over TLS as in a cluster; gives a client that trusts only the authority."""
    authority = PrivateCA()
    authority.leaf(NAME, "127.0.0.1").write(directory)
    certificate = LiveCertificate(str(directory))
    certificate.load()
    stop, listener = asyncio.Event(), bind(0)
    port = listener.getsockname()[1]
    trust = ssl.create_default_context(cadata=authority.certificate.decode())
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(create_app(admission), listener, stop=stop, tls=certificate.context()))
        await asyncio.sleep(0)
        transport = httpx.AsyncHTTPTransport(verify=trust, retries=5)
        async with httpx.AsyncClient(transport=transport, base_url=f"https://127.0.0.1:{port}") as http:
            yield http
        stop.set()


def made(reader: Any, figures: Metrics | None = None, max_in_flight: int = 99) -> Admission:
    return Admission(reader, SETTINGS, figures or metrics(), max_in_flight=max_in_flight)


def counted(figures: Metrics) -> list[str]:
    lines = exposition(figures.registry).decode().splitlines()
    return [line for line in lines if line.startswith("postern_admissions_total{")]


async def test_labelled_pod_is_patched_and_the_uid_echoed(tmp_path: Path, server: FakeApiServer, api: Cluster) -> None:
    server.put(POLICY, policy())
    server.put("/api/v1/namespaces/team-a", {})
    figures = metrics()
    async with client(made(api, figures), tmp_path) as http:
        answer = await http.post("/pods", json=review(GUARDED))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["apiVersion"], body["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert (body["response"]["uid"], body["response"]["allowed"]) == ("0b4ad1b0", True)
    patch = json.loads(base64.b64decode(body["response"]["patch"]))
    assert any("postern-net" in json.dumps(operation) for operation in patch)
    assert counted(figures) == ['postern_admissions_total{outcome="allowed",path="pods"} 1.0']


async def test_pod_of_a_missing_policy_is_refused(tmp_path: Path, api: Cluster) -> None:
    figures = metrics()
    async with client(made(api, figures), tmp_path) as http:
        response = (await http.post("/pods", json=review(GUARDED))).json()["response"]
    assert (response["allowed"], response["status"]["reason"]) == (False, "PolicyNotFound")
    assert counted(figures) == ['postern_admissions_total{outcome="denied",path="pods"} 1.0']


async def test_unlabelled_pod_is_allowed_untouched_without_a_read(tmp_path: Path) -> None:
    reader = Reader()
    async with client(made(reader), tmp_path) as http:
        response = (await http.post("/pods", json=review())).json()["response"]
    assert response == {"uid": "0b4ad1b0", "allowed": True}
    assert (reader.policies, reader.namespaces) == (0, 0)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(ClusterUnavailable("down"), "unavailable", id="API server down"),
        pytest.param(ClusterError("forbidden"), "unavailable", id="API server refuses"),
        pytest.param(RuntimeError("a defect"), "error", id="defect of ours"),
    ],
)
async def test_what_cannot_be_decided_is_no_decision(tmp_path: Path, error: Exception, outcome: str) -> None:
    figures = metrics()
    async with client(made(Reader(error), figures), tmp_path) as http:
        answer = await http.post("/pods", json=review(GUARDED))
    assert answer.status_code == 500
    assert "allowed" not in answer.text
    assert counted(figures) == [f'postern_admissions_total{{outcome="{outcome}",path="pods"}} 1.0']


async def test_silent_api_server_is_given_up_after_a_second(
    tmp_path: Path, server: FakeApiServer, api: Cluster
) -> None:
    server.fail("GET", "mcpauthpolicies", 200, delay_s=10)
    async with client(made(api), tmp_path) as http, asyncio.timeout(3):
        assert (await http.post("/pods", json=review(GUARDED))).status_code == 500


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="not JSON"),
        pytest.param(b"[" * 100_000, id="nested beyond measure"),
        pytest.param(b"[]", id="not an object"),
        pytest.param(b'{"kind": "Pod", "apiVersion": "v1"}', id="not an AdmissionReview"),
        pytest.param(json.dumps(review() | {"apiVersion": "admission.k8s.io/v1beta1"}).encode(), id="old version"),
        pytest.param(json.dumps(review() | {"request": None}).encode(), id="no request"),
        pytest.param(json.dumps(review(uid="")).encode(), id="no uid"),
    ],
)
async def test_malformed_request_is_a_400(tmp_path: Path, body: bytes) -> None:
    async with client(made(Reader()), tmp_path) as http:
        assert (await http.post("/pods", content=body)).status_code == 400


async def test_body_beyond_eight_mebibytes_is_a_413(tmp_path: Path) -> None:
    async with client(made(Reader()), tmp_path) as http:
        assert (await http.post("/pods", content=b" " * (8 * 2**20 + 1))).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/", 404), ("POST", "/pod", 404), ("GET", "/pods", 405)]
)
async def test_other_paths_and_methods_are_refused(tmp_path: Path, method: str, path: str, status: int) -> None:
    async with client(made(Reader()), tmp_path) as http:
        assert (await http.request(method, path, json=review())).status_code == status


async def test_too_many_requests_at_once_are_refused_fast(tmp_path: Path) -> None:
    reader, figures = Reader(), metrics()
    reader.gate.clear()
    async with client(made(reader, figures, max_in_flight=2), tmp_path) as http, asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(http.post("/pods", json=review(GUARDED))) for _ in range(2)]
        await until_in_flight(figures, 2)
        answer = await http.post("/pods", json=review(GUARDED))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        reader.gate.set()
    assert [task.result().status_code for task in waiting] == [200, 200]


async def until_in_flight(figures: Metrics, number: int) -> None:
    while f"postern_admissions_in_flight {number}.0" not in exposition(figures.registry).decode():
        await asyncio.sleep(0)


async def test_burst_shares_a_read_of_its_policy(tmp_path: Path) -> None:
    reader, figures = Reader(), metrics()
    reader.gate.clear()
    async with client(made(reader, figures), tmp_path) as http, asyncio.TaskGroup() as tasks:
        burst = [tasks.create_task(http.post("/pods", json=review(GUARDED))) for _ in range(10)]
        await until_in_flight(figures, 10)
        await http.post("/pods", json=review())  # needs no read; answered after those before it were understood
        assert reader.policies == 1
        reader.gate.set()
    assert [task.result().json()["response"]["allowed"] for task in burst] == [True] * 10


async def test_pod_created_after_its_policy_finds_it_although_an_older_read_still_runs(tmp_path: Path) -> None:
    reader, figures = Reader(), metrics()
    reader.gate.clear()
    reader.has_policy = False
    async with client(made(reader, figures), tmp_path) as http, asyncio.TaskGroup() as tasks:
        before = tasks.create_task(http.post("/pods", json=review(GUARDED)))
        while reader.policies < 1:
            await asyncio.sleep(0)
        reader.has_policy = True
        after = tasks.create_task(http.post("/pods", json=review(GUARDED)))
        await until_in_flight(figures, 2)
        reader.gate.set()
    assert [task.result().json()["response"]["allowed"] for task in (before, after)] == [False, True]


async def test_policy_is_read_each_time_and_the_namespace_once(tmp_path: Path) -> None:
    reader = Reader()
    async with client(made(reader), tmp_path) as http:
        for _ in range(3):
            await http.post("/pods", json=review(GUARDED))
    assert (reader.policies, reader.namespaces) == (3, 1)


async def test_workload_is_decided_at_its_own_path(tmp_path: Path, server: FakeApiServer, api: Cluster) -> None:
    server.put(POLICY, policy())
    pod = review()["request"]["object"]
    workload = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "weather", "annotations": {"postern.dev/policy": "weather"}},
        "spec": {
            "selector": {"matchLabels": {"app": "weather"}},
            "template": {"metadata": {"labels": {"app": "weather"}}, "spec": pod["spec"]},
        },
    }
    asked = review(object=workload, resource={"group": "apps", "version": "v1", "resource": "deployments"})
    async with client(made(api), tmp_path) as http:
        response = (await http.post("/workloads", json=asked)).json()["response"]
    assert response["allowed"]
    assert b"postern.dev~1inject" in base64.b64decode(response["patch"]) or b"postern.dev/inject" in base64.b64decode(
        response["patch"]
    )


async def test_body_that_never_ends_gives_its_place_back(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        begun.set()
        await asyncio.Event().wait()

    figures = metrics()
    admission = Admission(Reader(), SETTINGS, figures, max_in_flight=1, body_timeout_s=0.3)
    statuses: list[int] = []
    async with client(admission, tmp_path) as http, asyncio.timeout(5):
        slow = asyncio.ensure_future(http.post("/pods", content=endless()))
        await begun.wait()
        while not counted_as(figures, "malformed") or statuses[-1:] != [200]:
            statuses.append((await http.post("/pods", json=review(GUARDED))).status_code)
        slow.cancel()
    assert 503 in statuses, "the place was taken"


def counted_as(figures: Metrics, outcome: str) -> bool:
    return any(f'outcome="{outcome}"' in line for line in counted(figures))
