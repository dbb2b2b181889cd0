"""Every call that the operator makes, one method each: this module is what its RBAC has to allow."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from kubernetes.aio.client import Configuration

from postern_crds.v1alpha1 import KIND, PLURAL
from postern_operator import names
from postern_operator.cluster.paths import WORKLOADS, is_object_name, path
from postern_operator.cluster.slim import slim_pod, slim_policy, slim_workload
from postern_operator.cluster.transport import APPLY, MERGE, STRATEGIC, Call, Gone, NotFound, Observer, Transport
from postern_operator.errors import ClusterUnavailable

__all__ = ["Cluster", "cluster"]

Object = dict[str, Any]
_PAGE = 500
_LIST_TIMEOUT_S = 30.0
_LIST_ATTEMPTS = 3
_INJECTED = f"{names.INJECT_LABEL}={names.INJECT_VALUE}"
_MANAGED = f"{names.MANAGED_LABEL}=true"


@asynccontextmanager
async def cluster(configuration: Configuration, observe: Observer) -> AsyncIterator["Cluster"]:
    """Give a Cluster whose connections are closed at the end."""
    transport = Transport(configuration, observe)
    try:
        yield Cluster(transport)
    finally:
        await transport.close()


class Cluster:
    """The API server as the operator uses it. Objects are plain dicts, as JSON has them.

    Each method raises ClusterError (Conflict) or ClusterUnavailable; ``None`` stands for an object that does not exist.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get_policy(self, namespace: str, name: str, *, timeout_s: float = 10.0) -> Object | None:
        """Give a policy."""
        return await self._get(PLURAL, namespace, name, timeout_s=timeout_s)

    async def get_namespace(self, name: str, *, timeout_s: float = 10.0) -> Object | None:
        """Give a Namespace."""
        return await self._get("namespaces", None, name, timeout_s=timeout_s)

    async def get_config_map(self, namespace: str, name: str) -> Object | None:
        """Give a ConfigMap."""
        return await self._get("configmaps", namespace, name)

    async def list_policies(self) -> list[Object]:
        """List all policies, slim, page by page."""
        return await self._list(PLURAL, None, slim_policy)

    async def list_workloads(self, namespace: str | None = None) -> list[Object]:
        """List the Deployments, StatefulSets and DaemonSets that name a policy, slim; in all namespaces without one."""
        found: list[Object] = []
        for kind, resource in WORKLOADS.items():

            def keep(workload: Object, kind: str = kind) -> Object | None:
                if names.POLICY_ANNOTATION not in (workload["metadata"].get("annotations") or {}):
                    return None
                return slim_workload({"apiVersion": "apps/v1", "kind": kind} | workload)

            found += await self._list(resource, namespace, keep)
        return found

    async def list_pods(self, namespace: str | None = None, *, selector: str = _INJECTED) -> list[Object]:
        """List pods by label selector, slim; without one those that are labelled for injection."""
        return await self._list("pods", namespace, slim_pod, {"labelSelector": selector})

    async def list_managed_config_maps(self) -> list[Object]:
        """List the ConfigMaps that the controller made."""
        return await self._list("configmaps", None, _whole, {"labelSelector": _MANAGED})

    async def apply_config_map(self, config_map: Object) -> None:
        """Create the ConfigMap or bring our fields of it to what is given."""
        metadata = config_map["metadata"]
        await self._apply(path("configmaps", metadata["namespace"], metadata["name"]), config_map)

    async def apply_template(self, patch: Object) -> None:
        """Bring our keys on a workload's pod template to what is given (a body of pod.workload.template_patch)."""
        metadata = patch["metadata"]
        await self._apply(path(WORKLOADS[patch["kind"]], metadata["namespace"], metadata["name"]), patch)

    async def patch_status(self, policy: Object, status: Object) -> None:
        """Write a policy's status. Conflict when it was re-created meanwhile: the uid is part of the patch."""
        metadata = {key: policy["metadata"][key] for key in ("name", "namespace", "uid")}
        body = {"apiVersion": policy["apiVersion"], "kind": KIND, "metadata": metadata, "status": status}
        where = path(PLURAL, metadata["namespace"], metadata["name"], "status")
        await self._apply(where, body, manager=names.STATUS_MANAGER)

    async def nudge_pod(self, pod: Object, config_hash: str) -> None:
        """Make the kubelet refresh a pod's volumes at once, by an annotation sent through its status subresource."""
        metadata = pod["metadata"]
        where = path("pods", metadata["namespace"], metadata["name"], "status")
        change = {"uid": metadata["uid"], "annotations": {names.CONFIG_ANNOTATION: config_hash}}
        await self._transport.request(Call("PATCH", where, body={"metadata": change}, content_type=MERGE))

    async def create_event(self, event: Object) -> None:
        """Create an Event (events.k8s.io/v1)."""
        await self._transport.request(Call("POST", path("events", event["metadata"]["namespace"]), body=event))

    async def get_secret(self, namespace: str, name: str) -> Object | None:
        """Give a Secret of the operator's own namespace."""
        return await self._get("secrets", namespace, name)

    async def write_secret(self, secret: Object) -> None:
        """Create a Secret, or update it when it carries a resourceVersion. Conflict when another was faster."""
        metadata = secret["metadata"]
        exists = "resourceVersion" in metadata
        where = path("secrets", metadata["namespace"], metadata["name"] if exists else None)
        await self._transport.request(Call("PUT" if exists else "POST", where, body=secret))

    async def get_webhook_configuration(self, name: str) -> Object | None:
        """Give a MutatingWebhookConfiguration."""
        return await self._get("mutatingwebhookconfigurations", None, name)

    async def patch_ca_bundle(self, configuration: Object, webhooks: list[str], bundle: str) -> None:
        """Set clientConfig.caBundle (base64) of the named webhooks.

        Server-side apply would demand every required field of each webhook and so take them over. A strategic merge
        goes by name; the resourceVersion makes it a Conflict when the configuration changed since it was read.
        """
        body = {
            "metadata": {"resourceVersion": configuration["metadata"]["resourceVersion"]},
            "webhooks": [{"name": name, "clientConfig": {"caBundle": bundle}} for name in webhooks],
        }
        where = path("mutatingwebhookconfigurations", None, configuration["metadata"]["name"])
        query = {"fieldManager": names.CERTIFICATE_MANAGER}
        await self._transport.request(Call("PATCH", where, query=query, body=body, content_type=STRATEGIC))

    async def _get(self, resource: str, namespace: str | None, name: str, *, timeout_s: float = 10.0) -> Object | None:
        if not is_object_name(name):
            return None
        try:
            return await self._transport.request(Call("GET", path(resource, namespace, name), timeout_s=timeout_s))
        except NotFound:
            return None

    async def _apply(self, where: str, body: Object, *, manager: str = names.FIELD_MANAGER) -> None:
        query = {"fieldManager": manager, "force": "true"}
        await self._transport.request(Call("PATCH", where, query=query, body=body, content_type=APPLY))

    async def _list(
        self,
        resource: str,
        namespace: str | None,
        keep: Callable[[Object], Object | None],
        query: Mapping[str, str] | None = None,
    ) -> list[Object]:
        """List all pages; from the start again when the API server forgot the list's version meanwhile."""
        where = path(resource, namespace)
        for _ in range(_LIST_ATTEMPTS):
            try:
                return [kept async for item in self._pages(where, query or {}) if (kept := keep(item)) is not None]
            except Gone:
                continue
        raise ClusterUnavailable(f"GET {where}: the list expired {_LIST_ATTEMPTS} times before its last page")

    async def _pages(self, where: str, query: Mapping[str, str]) -> AsyncIterator[Object]:
        token = ""
        while True:
            page = {"limit": str(_PAGE)} | dict(query) | ({"continue": token} if token else {})
            answer = await self._transport.request(Call("GET", where, query=page, timeout_s=_LIST_TIMEOUT_S))
            for item in answer.get("items") or []:
                yield item
            token = (answer.get("metadata") or {}).get("continue", "")
            if not token:
                return


def _whole(item: Object) -> Object:
    return item
