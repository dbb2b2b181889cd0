"""What a pass over one policy looks at: this module is where it is read, live for one or from whole lists for all."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from postern_operator import names
from postern_operator.cluster import Cluster

__all__ = ["Key", "Observed", "Snapshot", "read_live", "read_snapshot"]

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name of a policy."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The state of the cluster that concerns one policy."""

    policy: Object
    config_map: Object | None
    """The present one under our name."""
    workloads: list[Object]
    """Those that name the policy."""
    pods: list[Object]
    """Those labelled for injection that name the policy."""
    is_live: bool = False
    """Read just now for this policy alone; else from lists that may be some seconds old: confirm before a write."""


@dataclass(slots=True)
class Snapshot:
    """The cluster at one time, by policy. Each policy's part is taken out once, so that memory is given back."""

    policies: dict[Key, Object]
    config_maps: dict[Key, Object]
    """By namespace and their own name."""
    workloads: dict[Key, list[Object]]
    pods: dict[Key, list[Object]]

    def take(self, key: Key) -> Observed | None:
        """Take a policy's part; None when it did not exist or was taken."""
        policy = self.policies.pop(key, None)
        if policy is None:
            return None
        return Observed(
            policy=policy,
            config_map=self.config_maps.pop((key[0], names.config_map_name(key[1])), None),
            workloads=self.workloads.pop(key, []),
            pods=self.pods.pop(key, []),
        )


async def read_snapshot(cluster: Cluster) -> Snapshot:
    """Read the whole cluster in a few chunked lists."""
    policies = await cluster.list_policies()
    config_maps = await cluster.list_managed_config_maps()
    workloads = await cluster.list_workloads()
    pods = await cluster.list_pods()
    return Snapshot(
        policies={_key(policy): policy for policy in policies},
        config_maps={_key(config_map): config_map for config_map in config_maps},
        workloads=_by_policy(workloads),
        pods=_by_policy(pods),
    )


async def read_live(cluster: Cluster, key: Key) -> Observed | None:
    """Read one policy and what concerns it; None when it does not exist."""
    policy = await cluster.get_policy(*key)
    if policy is None:
        return None
    namespace, name = key
    return Observed(
        policy=policy,
        config_map=await cluster.get_config_map(namespace, names.config_map_name(name)),
        workloads=_by_policy(await cluster.list_workloads(namespace)).get(key, []),
        pods=_by_policy(await cluster.list_pods(namespace)).get(key, []),
        is_live=True,
    )


def _key(item: Object) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _by_policy(items: list[Object]) -> dict[Key, list[Object]]:
    found: dict[Key, list[Object]] = defaultdict(list)
    for item in items:
        name = (item["metadata"].get("annotations") or {}).get(names.POLICY_ANNOTATION)
        if name:
            found[item["metadata"]["namespace"], name].append(item)
    return dict(found)
