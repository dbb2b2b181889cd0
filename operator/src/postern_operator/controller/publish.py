"""From a policy to what its pods need: this module writes key Secret, ConfigMap and stamps where they differ."""

from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_config import SidecarConfig
from postern_operator import names
from postern_operator.cluster import Cluster
from postern_operator.controller.rendered import Rendered
from postern_operator.controller.snapshot import Observed
from postern_operator.errors import ClusterError, ClusterUnavailable, Conflict
from postern_operator.pod.workload import template_patch
from postern_operator.policy.objects import config_map, keys_secret
from postern_operator.policy.render import render
from postern_operator.policy.stored import problems
from postern_operator.settings import Settings
from postern_operator.status.conditions import Problem

__all__ = [
    "Decided",
    "Writes",
    "decide",
    "has_config_map",
    "missing_writes",
    "unresolved",
    "write_files",
    "write_stamps",
]

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

    keys: Object | None
    """Secret with the key ring."""
    obsolete_keys: tuple[str, str] | None
    """Namespace and name of a Secret that the policy needs no more."""
    config_map: Object | None
    stamps: tuple[Object, ...]

    def __bool__(self) -> bool:
        return any((self.keys, self.obsolete_keys, self.config_map, self.stamps))


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


def missing_writes(settings: Settings, seen: Observed, rendered: Rendered) -> Writes:
    """Give what differs from what should be."""
    wanted = config_map(seen.policy, rendered.config, rendered.keys_hash)
    patches = (template_patch(workload, seen.policy, settings) for workload in seen.workloads)
    return Writes(
        keys=_missing_keys(seen, rendered),
        obsolete_keys=_obsolete_keys(seen, rendered),
        config_map=None if has_config_map(seen.config_map, wanted) else wanted,
        stamps=tuple(patch for patch in patches if patch is not None),
    )


async def write_files(cluster: Cluster, writes: Writes) -> Problem | None:
    """Write key Secret and ConfigMap; gives what the API server refused. Raises Conflict and ClusterUnavailable.

    The ConfigMap comes last: it notes which keys were applied, or by its silence that there are none to delete.
    """
    what = "the Secret with the key ring"
    try:
        if writes.keys is not None:
            await cluster.apply_secret(writes.keys)
        if writes.obsolete_keys is not None:
            await cluster.delete_secret(*writes.obsolete_keys)
        what = "the ConfigMap"
        if writes.config_map is not None:
            await cluster.apply_config_map(writes.config_map)
    except Conflict:
        raise
    except ClusterError as error:
        reason = "ConfigMapRefused" if what == "the ConfigMap" else "KeysRefused"
        return Problem("Programmed", reason, f"{what} cannot be written: {error}")
    return None


async def write_stamps(cluster: Cluster, writes: Writes) -> list[Problem]:
    """Stamp the workloads, after the files: a pod that starts because of a stamp must find them.

    Gives what the API server refused; raises Conflict. A webhook of the cluster that does not answer, perhaps our own,
    makes stamps fail like an outage: that is told, or status would go on to praise the pods of before.
    """
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
        and _noted_keys(present) == _noted_keys(wanted)
        and all(owner in (metadata.get("ownerReferences") or []) for owner in ours["ownerReferences"])
    )


def _missing_keys(seen: Observed, rendered: Rendered) -> Object | None:
    """Give the Secret unless the ConfigMap notes that these very keys were applied.

    Nobody may read tenants' Secrets, so that a lost one shows up nowhere: each complete pass over the cluster applies
    it anew, which changes nothing where it is as it should be.
    """
    if rendered.ring is None or (seen.is_live and _noted_keys(seen.config_map) == rendered.keys_hash):
        return None
    return keys_secret(seen.policy, rendered.ring)


def _obsolete_keys(seen: Observed, rendered: Rendered) -> tuple[str, str] | None:
    """Give the Secret of a policy that was in mode Proxy: keys that nobody needs are only a danger."""
    if rendered.ring is not None or _noted_keys(seen.config_map) is None:
        return None
    metadata = seen.policy["metadata"]
    return metadata["namespace"], names.keys_secret_name(metadata["name"])


def _noted_keys(config_map: Object | None) -> str | None:
    """Give the hash of the keys that were applied when the ConfigMap was; None: there were none."""
    metadata = {} if config_map is None else config_map["metadata"]
    noted: str | None = (metadata.get("annotations") or {}).get(names.KEYS_ANNOTATION)
    return noted


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
