"""A Kubernetes API server in the test's own process, on a real socket, with faults on demand.

It knows what the operator uses: get, list in pages, watch, create, update, delete, the four kinds of patches,
subresources, uid and resourceVersion preconditions, label selectors and discovery. Of server-side apply it knows that a
manager's fields go when it applies them no more. It validates nothing and defaults nothing.
"""

import asyncio
import contextlib
import copy
import itertools
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Object = dict[str, Any]
_PATCHES = {
    "application/apply-patch+yaml": "apply",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}


def _resource(plural: str, kind: str) -> Object:
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": True,
        "verbs": ["list", "watch", "patch"],
    }


_DISCOVERY: dict[str, Object] = {
    "/api": {"versions": ["v1"]},
    "/apis": {
        "groups": [
            {
                "name": "postern.dev",
                "versions": [{"groupVersion": "postern.dev/v1alpha1", "version": "v1alpha1"}],
                "preferredVersion": {"groupVersion": "postern.dev/v1alpha1", "version": "v1alpha1"},
            }
        ]
    },
    "/api/v1": {"resources": [_resource("pods", "Pod"), _resource("namespaces", "Namespace") | {"namespaced": False}]},
    "/apis/postern.dev/v1alpha1": {"resources": [_resource("mcpauthpolicies", "McpAuthPolicy")]},
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str
    body: Any


@dataclass(slots=True)
class Fault:
    """What is answered instead, for some requests."""

    method: str
    path_part: str
    status: int
    times: int
    delay_s: float = 0.0
    """Wait this long before the answer; with status 0 the connection is closed without one."""
    gate: asyncio.Event | None = None
    """Wait for this, and then answer as usual."""


@dataclass(frozen=True, slots=True)
class Where:
    """What a path names."""

    resource: str
    """Such as 'apis/apps/v1/deployments'."""
    namespace: str
    """Empty: all, or not namespaced."""
    name: str
    subresource: str


def where(path: str) -> Where:
    """Take a path apart."""
    parts = path.strip("/").split("/")
    root, rest = (parts[:2], parts[2:]) if parts[0] == "api" else (parts[:3], parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3:
        namespace, rest = rest[1], rest[2:]
    rest = [*rest, "", ""]
    return Where("/".join([*root, rest[0]]), namespace, rest[1], rest[2])


class Refusal(Exception):
    """Raised to answer with a Status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class FakeApiServer:
    """The server's state; tests read and change it directly."""

    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    """By resource, namespace ('' for cluster-wide) and name."""
    requests: list[Recorded] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    url: str = ""
    token: str = ""
    """When set, every request must carry it."""
    watchers: int = 0
    compacted: int = 0
    """Watches from before this version are answered with 410."""
    _version: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1000))
    _applied: dict[tuple[str, str], Object] = field(default_factory=dict)
    """By path and field manager: the body that was applied last."""
    _log: list[tuple[int, str, str, Object]] = field(default_factory=list)
    _closing: bool = False

    def fail(self, method: str, path_part: str, status: int, *, times: int = 1, delay_s: float = 0.0) -> None:
        """Answer the next matching requests with a status; 0 closes the connection."""
        self.faults.append(Fault(method, path_part, status, times, delay_s))

    def hold(self, method: str, path_part: str) -> asyncio.Event:
        """Hold the next matching request until the event that this gives is set; then answer as usual."""
        gate = asyncio.Event()
        self.faults.append(Fault(method, path_part, 0, 1, gate=gate))
        return gate

    def put(self, path: str, value: Object) -> Object:
        """Store an object as its owner would, creating or replacing it; gives what is stored."""
        at = where(path)
        key = (at.resource, at.namespace, at.name)
        old = self.objects.get(key)
        new = copy.deepcopy(value)
        metadata = new.setdefault("metadata", {})
        metadata["name"] = at.name
        if at.namespace:
            metadata["namespace"] = at.namespace
        metadata["uid"] = old["metadata"]["uid"] if old else metadata.get("uid") or str(uuid.uuid4())
        generation = old["metadata"]["generation"] if old else 0
        is_new_spec = old is None or old.get("spec") != new.get("spec")
        metadata["generation"] = generation + 1 if is_new_spec else generation
        if old is not None and old == new:
            return old
        metadata["resourceVersion"] = str(next(self._version))
        self.objects[key] = new
        self._tell("MODIFIED" if old else "ADDED", at.resource, new)
        return new

    def get(self, path: str) -> Object | None:
        """Give a stored object."""
        at = where(path)
        return self.objects.get((at.resource, at.namespace, at.name))

    def delete(self, path: str) -> None:
        """Remove an object."""
        at = where(path)
        gone = copy.deepcopy(self.objects.pop((at.resource, at.namespace, at.name)))
        gone["metadata"]["resourceVersion"] = str(next(self._version))
        self._tell("DELETED", at.resource, gone)

    def writes(self) -> list[Recorded]:
        """List the requests that were not mere reads."""
        return [request for request in self.requests if request.method != "GET"]

    def _tell(self, kind: str, resource: str, value: Object) -> None:
        self._log.append((int(value["metadata"]["resourceVersion"]), kind, resource, copy.deepcopy(value)))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        text = await request.text()
        body = json.loads(text) if text else None
        recorded = Recorded(request.method, request.path, dict(request.query), request.content_type, body)
        self.requests.append(recorded)
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        for fault in self.faults:
            if fault.times and fault.method == request.method and fault.path_part in request.path_qs:
                fault.times -= 1
                if fault.gate is not None:
                    await fault.gate.wait()
                    continue
                await asyncio.sleep(fault.delay_s)
                if fault.status == 0 and request.transport is not None:
                    request.transport.abort()
                return _status(fault.status or 500, "a fault of the test")
        if request.path in _DISCOVERY:
            return web.json_response(_DISCOVERY[request.path])
        if request.query.get("watch"):
            return await self._watch(request)
        try:
            return web.json_response(self._answer(recorded))
        except Refusal as refusal:
            return _status(refusal.status, str(refusal))

    def _answer(self, request: Recorded) -> Object:
        at = where(request.path)
        match request.method:
            case "GET":
                return self._existing(at) if at.name else self._list(at, request.query)
            case "POST":
                return self._create(at, request)
            case "PUT":
                old = self._existing(at)
                self._check(old, request.body["metadata"])
                return self.put(request.path, request.body)
            case "PATCH":
                return self._patch(at, request)
            case "DELETE":
                self._existing(at)
                self.delete(request.path)
                return {"kind": "Status", "status": "Success"}
        raise Refusal(405, "not allowed")

    def _existing(self, at: Where) -> Object:
        found = self.objects.get((at.resource, at.namespace, at.name))
        if found is None:
            raise Refusal(404, f"{at.resource} {at.namespace}/{at.name} not found")
        return found

    def _create(self, at: Where, request: Recorded) -> Object:
        metadata = request.body["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{next(self._version)}"
        if (at.resource, at.namespace, name) in self.objects:
            raise Refusal(409, f"{name} already exists")
        return self.put(f"{request.path}/{name}", request.body)

    def _check(self, old: Object, metadata: Object) -> None:
        for precondition in ("uid", "resourceVersion"):
            if metadata.get(precondition, old["metadata"][precondition]) != old["metadata"][precondition]:
                raise Refusal(409, f"the object has been modified: {precondition} differs")

    def _patch(self, at: Where, request: Recorded) -> Object:
        kind = _PATCHES.get(request.content_type)
        if kind is None:
            raise Refusal(415, f"not a patch: {request.content_type}")
        path = "/" + request.path.strip("/").removesuffix(f"/{at.subresource}") if at.subresource else request.path
        if kind == "apply" and "fieldManager" not in request.query:
            raise Refusal(400, "fieldManager is required for apply")
        before: Object = {}
        if kind == "apply":
            applied = (request.path, request.query["fieldManager"])
            before, self._applied[applied] = self._applied.get(applied, {}), request.body
        if kind == "apply" and not at.subresource and self.get(path) is None:
            if "uid" in request.body["metadata"]:
                raise Refusal(409, "uid differs: the object does not exist")
            return self.put(path, request.body)
        old = self._existing(at)
        self._check(old, request.body.get("metadata", {}))
        old = _released(old, before, request.body)
        new = _merged(old, request.body, by_name=kind == "strategic")
        if kind == "apply" and at.subresource == "status":
            new = old | {"status": request.body["status"]}
        return self.put(path, new)

    def _list(self, at: Where, query: dict[str, str]) -> Object:
        version = str(next(self._version))
        found = [
            value
            for (resource, namespace, _), value in sorted(self.objects.items(), key=lambda item: item[0])
            if resource == at.resource
            and at.namespace in ("", namespace)
            and _selected(query.get("labelSelector", ""), value)
        ]
        start, limit = int(query.get("continue", 0)), int(query.get("limit") or len(found) or 1)
        metadata = {"resourceVersion": version}
        if start + limit < len(found):
            metadata["continue"] = str(start + limit)
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": found[start : start + limit]}

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        at, selector = where(request.path), request.query.get("labelSelector", "")
        since = int(request.query.get("resourceVersion") or 0)
        if since < self.compacted:
            await _send(response, "ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
            return response
        self.watchers += 1
        try:
            position = 0
            while not self._closing and since >= self.compacted:
                while position < len(self._log):
                    version, kind, resource, value = self._log[position]
                    position += 1
                    if version > since and resource == at.resource and _selected(selector, value):
                        await _send(response, kind, value)
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        finally:
            self.watchers -= 1
        return response

    def close(self) -> None:
        """End all watches."""
        self._closing = True


async def _send(response: web.StreamResponse, kind: str, value: Object) -> None:
    await response.write(json.dumps({"type": kind, "object": value}).encode() + b"\n")


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


def _selected(selector: str, value: Object) -> bool:
    labels = value["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, is_not, wanted = term.partition("!=")
        if is_not:
            if labels.get(key) == wanted:
                return False
            continue
        key, _, wanted = term.partition("=")
        if labels.get(key) != wanted:
            return False
    return True


def _merged(old: Any, change: Any, *, by_name: bool) -> Any:
    """Merge maps; null removes; lists are replaced, or merged by 'name'."""
    if isinstance(old, dict) and isinstance(change, dict):
        merged = dict(old)
        for key, value in change.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = _merged(old.get(key), value, by_name=by_name)
        return merged
    if by_name and isinstance(old, list) and isinstance(change, list):
        changes = {item["name"]: item for item in change}
        return [_merged(item, changes.get(item["name"], {}), by_name=True) for item in old]
    return copy.deepcopy(change)


def _released(value: Any, before: Any, now: Any) -> Any:
    """Drop the members that were applied before and are applied no more."""
    if not (isinstance(value, dict) and isinstance(before, dict) and isinstance(now, dict)):
        return value
    kept = {key: member for key, member in value.items() if key in now or key not in before}
    return {key: _released(member, before.get(key), now.get(key)) for key, member in kept.items()}


@contextlib.asynccontextmanager
async def fake_apiserver(host: str = "127.0.0.1") -> AsyncIterator[FakeApiServer]:
    """Serve until the block ends."""
    server = FakeApiServer()
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        server.close()
        await runner.cleanup()


def kubeconfig(server: FakeApiServer, ca_file: str | None = None) -> Object:
    """Give a kubeconfig that leads to the server. With a CA file clients need not load the machine's, which is slow."""
    authority = {} if ca_file is None else {"certificate-authority": ca_file}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": server.url, **authority}}],
        "users": [{"name": "fake", "user": {"token": server.token or "secret"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
