"""One pass over one policy: this module is the whole way from what is to what should be, and to what is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_config import SidecarConfig
from postern_operator import names
from postern_operator.cluster import Cluster
from postern_operator.controller.clock import epoch_seconds, utc_now
from postern_operator.controller.master_keys import MasterKeys
from postern_operator.controller.publish import decide, missing_writes, unresolved, write_files, write_stamps
from postern_operator.controller.recorder import Recorder
from postern_operator.controller.rendered import complete
from postern_operator.controller.schedule import Outcome
from postern_operator.controller.sidecars import Sidecars
from postern_operator.controller.snapshot import Observed
from postern_operator.controller.triggers import policy_change
from postern_operator.controller.unlabelled import lacks_labelled_pods, unlabelled_selector
from postern_operator.errors import ClusterError, Conflict
from postern_operator.pod.workload import shape
from postern_operator.settings import Settings
from postern_operator.status.conditions import Problem
from postern_operator.status.events import transitions
from postern_operator.status.observe import Seen, differs, observe

__all__ = ["Reconciler", "is_settled"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reconciler:
    """What a pass needs. Every write is idempotent and made only when something differs, so a pass may be repeated."""

    cluster: Cluster
    sidecars: Sidecars
    recorder: Recorder
    settings: Settings
    keys: MasterKeys
    now: Callable[[], str] = utc_now

    async def reconcile(self, seen: Observed) -> Outcome:
        """Do one pass. Raises ClusterError (Conflict) and ClusterUnavailable; what was done by then stays done.

        A policy on its way out is left alone: its ConfigMap goes with it, running pods keep their copy, and new pods
        are refused.
        """
        policy = seen.policy
        if policy["metadata"].get("deletionTimestamp"):
            return Outcome.SETTLED
        decided = decide(policy)
        problems = list(decided.problems)
        version = None
        if decided.config is not None:
            version, refused = await self._publish(seen, decided.config)
            problems += [*refused, *await unresolved(self.cluster, policy)]
        reports = await self.sidecars.reports(seen.pods)
        if version is not None:
            await self._nudge(seen.pods, reports, version)
        pods = seen.pods + await self._unlabelled(seen)
        wanted = None if decided.config is None else shape(policy, self.settings)
        here = Seen(seen.workloads, pods, reports, wanted)
        status = observe(policy, decided.config, problems, here, now=self.now())
        await self._tell(seen, status)
        return Outcome.SETTLED if is_settled(status, problems) else Outcome.UNSETTLED

    async def _publish(self, seen: Observed, config: SidecarConfig) -> tuple[str | None, list[Problem]]:
        """Write what is missing; gives the version of the files (None: they are not there) and what went wrong."""
        rendered = await complete(seen.policy, config, self.keys, self.settings, now=epoch_seconds(self.now()))
        if isinstance(rendered, Problem):
            return None, [rendered]
        writes = missing_writes(self.settings, seen, rendered)
        if writes:
            await self._confirm(seen)
        refused = await write_files(self.cluster, writes)
        if refused is not None:
            return None, [refused]
        return rendered.version, await write_stamps(self.cluster, writes)

    async def _confirm(self, seen: Observed) -> None:
        """Raise Conflict when the policy is no longer what was seen: an old list must not bring back an old policy."""
        if seen.is_live:
            return
        metadata = seen.policy["metadata"]
        present = await self.cluster.get_policy(metadata["namespace"], metadata["name"])
        if present is None or policy_change(present) != policy_change(seen.policy):
            raise Conflict(f"McpAuthPolicy {metadata['namespace']}/{metadata['name']} changed since it was listed")

    async def _nudge(self, pods: list[Object], reports: dict[str, Object | None], wanted: str) -> None:
        """Make kubelets refresh the volume of pods with another content, once for each wanted version."""
        for pod in pods:
            report = reports.get(pod["metadata"]["uid"])
            told = (pod["metadata"].get("annotations") or {}).get(names.CONFIG_ANNOTATION)
            if report is None or told == wanted:
                continue
            # After a nudge for another version that one may still be on its way, whatever the sidecar reports now. Of
            # its keys it reports nothing: where there are some, the version is more than the configuration's hash.
            if told is None and report.get("configHash") == wanted:
                continue
            try:
                await self.cluster.nudge_pod(pod, wanted)
            except ClusterError:
                # It is gone or not ours to patch. The kubelet refreshes by itself within its sync period.
                continue

    async def _unlabelled(self, seen: Observed) -> list[Object]:
        """Give the workloads' pods without our label. Asked only while pods are missing among the labelled ones."""
        if not lacks_labelled_pods(seen.workloads, seen.pods):
            return []
        namespace = seen.policy["metadata"]["namespace"]
        found: dict[str, Object] = {}
        for workload in seen.workloads:
            async for pod in self.cluster.list_pods(namespace, selector=unlabelled_selector(workload)):
                found[pod["metadata"]["uid"]] = pod
        return list(found.values())

    async def _tell(self, seen: Observed, status: Object) -> None:
        """Write the status if it differs, then the Events: an Event never tells what status does not show."""
        old = seen.policy.get("status") or {}
        if not differs(old, status):
            return
        await self._confirm(seen)
        await self.cluster.patch_status(seen.policy, status)
        await self.recorder.record(seen.policy, transitions(old, status))


def is_settled(status: Object, problems: list[Problem]) -> bool:
    """Tell whether only a change could change the status.

    While a sidecar is behind, silent or without its issuer, or a reference is missing, no watch would tell of the end.
    """
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions") or []}
    if any(problem.condition != "Accepted" for problem in problems):
        return False
    if conditions.get("Accepted") == "False":
        return True
    if "False" in (conditions.get("ResolvedRefs"), conditions.get("Programmed")):
        return False
    targets = status.get("targets") or {}
    injected = targets.get("injected", 0)
    if targets.get("unprotected", 0) or targets.get("current", 0) != injected:
        return False
    return injected == 0 or conditions.get("IssuerReachable") == "True"
