"""From a policy to what its pods need: this module writes ConfigMap and stamps where they differ."""

from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_config import SidecarConfig
from postern_operator.cluster import Cluster
from postern_operator.controller.snapshot import Observed
from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict
from postern_operator.pod.workload import template_patch
from postern_operator.policy.objects import config_map
from postern_operator.policy.render import render
from postern_operator.policy.stored import problems
from postern_operator.settings import Settings
from postern_operator.status.conditions import Problem

__all__ = ["Decided", "Writes", "decide", "has_config_map", "missing_writes", "publish", "unresolved"]

Object = dict[str, Any]
_MAX_TOLD = 10
_ADVICE = "correct the policy; until then its pods keep the last valid configuration"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a policy means: a configuration, or the reasons why it means none."""

    config: SidecarConfig | None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Writes:
    """What is missing in the cluster."""

    config_map: Object | None
    stamps: tuple[Object, ...]

    def __bool__(self) -> bool:
        return self.config_map is not None or bool(self.stamps)


def decide(policy: Object) -> Decided:
    """Validate and render a stored policy. The API server may hold one that an older schema let in."""
    found = problems(policy)
    if found:
        more = f" (and {len(found) - _MAX_TOLD} more)" if len(found) > _MAX_TOLD else ""
        text = "; ".join(found[:_MAX_TOLD]) + more
        return Decided(None, (Problem("Accepted", "Invalid", f"{text}: {_ADVICE}"),))
    try:
        return Decided(render(policy))
    except ValueError as error:
        return Decided(None, (Problem("Accepted", "Invalid", f"{error}: {_ADVICE}"),))


def missing_writes(settings: Settings, seen: Observed, config: SidecarConfig) -> Writes:
    """Give what differs from what should be."""
    wanted = config_map(seen.policy, config)
    patches = (template_patch(workload, seen.policy, settings) for workload in seen.workloads)
    return Writes(
        config_map=None if has_config_map(seen.config_map, wanted) else wanted,
        stamps=tuple(patch for patch in patches if patch is not None),
    )


async def publish(cluster: Cluster, writes: Writes) -> list[Problem]:
    """Write the ConfigMap, then stamp the workloads; gives what the API server refused.

    The order matters: a pod that starts because of a stamp must find its ConfigMap. Raises Conflict, and
    ClusterUnavailable for the ConfigMap. A webhook of the cluster that does not answer, perhaps our own, makes stamps
    fail in the same way: that is told, or status would go on to praise the pods of before.
    """
    if writes.config_map is not None:
        try:
            await cluster.apply_config_map(writes.config_map)
        except Conflict:
            raise
        except ClusterError as error:
            return [Problem("Programmed", "ConfigMapRefused", f"the ConfigMap cannot be written: {error}")]
    problems: list[Problem] = []
    for stamp in writes.stamps:
        try:
            refused = await _stamp(cluster, stamp)
        except ClusterUnavailable as error:
            name = f"{stamp['kind']} {stamp['metadata']['name']}"
            return [*problems, Problem("Programmed", "StampFailed", f"{name} could not be stamped yet: {error}")]
        problems += [refused] if refused is not None else []
    return problems


def has_config_map(present: Object | None, wanted: Object) -> bool:
    """Tell whether all that we want of the ConfigMap is there; what others added is theirs."""
    if present is None:
        return False
    metadata, ours = present["metadata"], wanted["metadata"]
    return (
        wanted["data"].items() <= (present.get("data") or {}).items()
        and ours["labels"].items() <= (metadata.get("labels") or {}).items()
        and all(owner in (metadata.get("ownerReferences") or []) for owner in ours["ownerReferences"])
    )


async def unresolved(cluster: Cluster, policy: Object) -> list[Problem]:
    """Look at what the policy refers to: the ConfigMap with the identity provider's CA. No watch tells of it."""
    bundle = policy["spec"].get("caBundle")
    if not bundle:
        return []
    name, key = bundle["configMap"]["name"], bundle["configMap"].get("key", "ca.crt")
    place = f"spec.caBundle.configMap: ConfigMap {policy['metadata']['namespace']}/{name}"
    found = await cluster.get_config_map(policy["metadata"]["namespace"], name)
    if found is None:
        return [Problem("ResolvedRefs", "CABundleNotFound", f"{place} does not exist: create it, or correct the name")]
    if not (found.get("data") or {}).get(key):
        return [Problem("ResolvedRefs", "CABundleKeyNotFound", f"{place} has no key {key}: add it, or correct the key")]
    return []


async def _stamp(cluster: Cluster, stamp: Object) -> Problem | None:
    """Bring one workload's template up to date; a refusal must not keep the other workloads from theirs."""
    try:
        await cluster.apply_template(stamp)
    except Conflict:
        raise
    except ClusterError as error:
        name = f"{stamp['kind']} {stamp['metadata']['name']}"
        return Problem("Programmed", "StampRefused", f"{name} cannot be stamped: {error}")
    return None
