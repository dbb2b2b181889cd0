"""What a pass over one policy looks at: this module is where it is read, live for one or from whole lists for all."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import msgspec

from postern_operator import names
from postern_operator.cluster import Cluster
from postern_operator.controller.triggers import Change, Key, pod_change, policy_change

__all__ = ["Observed", "Snapshot", "read_live", "read_snapshot"]

Object = dict[str, Any]


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
    """The cluster at one time, by policy. Each policy's part is taken out once, so that memory is given back.

    Objects are kept as JSON text, a fifth of what they need as dicts.
    """

    policies: dict[Key, bytes] = field(default_factory=dict)
    config_maps: dict[Key, bytes] = field(default_factory=dict)
    """By namespace and their own name."""
    workloads: dict[Key, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    pods: dict[Key, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    changes: list[Change] = field(default_factory=list)
    """What a watch would have told of everything in here."""

    def take(self, key: Key) -> Observed | None:
        """Take a policy's part; None when it did not exist or was taken."""
        policy = self.policies.pop(key, None)
        if policy is None:
            return None
        config_map = self.config_maps.pop((key[0], names.config_map_name(key[1])), None)
        return Observed(
            policy=msgspec.json.decode(policy),
            config_map=None if config_map is None else msgspec.json.decode(config_map),
            workloads=[msgspec.json.decode(workload) for workload in self.workloads.pop(key, [])],
            pods=[msgspec.json.decode(pod) for pod in self.pods.pop(key, [])],
        )


async def read_snapshot(cluster: Cluster) -> Snapshot:
    """Read the whole cluster in a few chunked lists."""
    snapshot = Snapshot()
    async for policy in cluster.list_policies():
        snapshot.policies[_key(policy)] = msgspec.json.encode(policy)
        snapshot.changes.append(policy_change(policy))
    async for config_map in cluster.list_managed_config_maps():
        snapshot.config_maps[_key(config_map)] = msgspec.json.encode(config_map)
    async for workload in cluster.list_workloads():
        snapshot.workloads[_policy_key(workload)].append(msgspec.json.encode(workload))
    async for pod in cluster.list_pods():
        snapshot.pods[_policy_key(pod)].append(msgspec.json.encode(pod))
        snapshot.changes.append(pod_change(pod))
    return snapshot


async def read_live(cluster: Cluster, key: Key) -> Observed | None:
    """Read one policy and what concerns it; None when it does not exist."""
    policy = await cluster.get_policy(*key)
    if policy is None:
        return None
    namespace, name = key
    return Observed(
        policy=policy,
        config_map=await cluster.get_config_map(namespace, names.config_map_name(name)),
        workloads=[w async for w in cluster.list_workloads(namespace) if _policy_key(w) == key],
        pods=[pod async for pod in cluster.list_pods(namespace) if _policy_key(pod) == key],
        is_live=True,
    )


def _key(item: Object) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _policy_key(item: Object) -> Key:
    """Give the policy that an object names; an empty name, which no policy has, when it names none."""
    annotations = item["metadata"].get("annotations") or {}
    return item["metadata"]["namespace"], annotations.get(names.POLICY_ANNOTATION, "")
