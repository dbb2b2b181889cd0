"""Every call that the operator makes, one method each: this module is what its RBAC has to allow."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from kubernetes.aio.client import Configuration

from postern_crds.v1alpha1 import KIND, PLURAL
from postern_operator import names
from postern_operator.cluster.paths import WORKLOADS, is_object_name, path
from postern_operator.cluster.slim import slim_config_map, slim_pod, slim_policy, slim_workload
from postern_operator.cluster.transport import APPLY, MERGE, STRATEGIC, Call, NotFound, Observer, Transport

__all__ = ["Cluster", "cluster"]

Object = dict[str, Any]
_PAGE = 500
_LIST_TIMEOUT_S = 30.0
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

    async def list_policies(self) -> AsyncIterator[Object]:
        """List all policies, slim. As the other lists: page by page, so that only one page is in memory at a time."""
        async for policy in self._pages(PLURAL, None):
            yield slim_policy(policy)

    async def list_workloads(self, namespace: str | None = None) -> AsyncIterator[Object]:
        """List the Deployments, StatefulSets and DaemonSets that name a policy, slim; in all namespaces without one."""
        for kind, resource in WORKLOADS.items():
            async for workload in self._pages(resource, namespace):
                if names.POLICY_ANNOTATION in (workload["metadata"].get("annotations") or {}):
                    yield slim_workload({"apiVersion": "apps/v1", "kind": kind} | workload)

    async def list_pods(self, namespace: str | None = None, *, selector: str = _INJECTED) -> AsyncIterator[Object]:
        """List pods by label selector, slim; without one those that are labelled for injection."""
        async for pod in self._pages("pods", namespace, selector):
            yield slim_pod(pod)

    async def list_managed_config_maps(self) -> AsyncIterator[Object]:
        """List the ConfigMaps that the controller made, slim."""
        async for config_map in self._pages("configmaps", None, _MANAGED):
            yield slim_config_map(config_map)

    async def apply_config_map(self, config_map: Object) -> None:
        """Create the ConfigMap or bring our fields of it to what is given."""
        metadata = config_map["metadata"]
        await self._apply(path("configmaps", metadata["namespace"], metadata["name"]), config_map)

    async def apply_secret(self, secret: Object) -> None:
        """Create a policy's Secret or bring our fields of it to what is given, without reading it."""
        metadata = secret["metadata"]
        await self._apply(path("secrets", metadata["namespace"], metadata["name"]), secret)

    async def delete_secret(self, namespace: str, name: str) -> None:
        """Delete a policy's Secret; one that does not exist is fine."""
        with suppress(NotFound):
            await self._transport.request(Call("DELETE", path("secrets", namespace, name)))

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

    async def nudge_pod(self, pod: Object, version: str) -> None:
        """Make the kubelet refresh a pod's volumes at once, by an annotation sent through its status subresource."""
        metadata = pod["metadata"]
        where = path("pods", metadata["namespace"], metadata["name"], "status")
        change = {"uid": metadata["uid"], "annotations": {names.CONFIG_ANNOTATION: version}}
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

    async def _pages(self, resource: str, namespace: str | None, selector: str = "") -> AsyncIterator[Object]:
        """Give the items of all pages. Raises ClusterUnavailable when the list expires before its last page."""
        where, token = path(resource, namespace), ""
        while True:
            query = {"limit": str(_PAGE), "labelSelector": selector, "continue": token}
            call = Call("GET", where, query={k: v for k, v in query.items() if v}, timeout_s=_LIST_TIMEOUT_S)
            answer = await self._transport.request(call)
            for item in answer.get("items") or []:
                yield item
            token = (answer.get("metadata") or {}).get("continue", "")
            if not token:
                return
