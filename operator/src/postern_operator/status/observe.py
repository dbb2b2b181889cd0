"""What was seen of a policy, its workloads, pods and sidecars becomes its status: this module is that account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from postern_crds.sidecar_config import SidecarConfig
from postern_operator.policy.objects import routes
from postern_operator.policy.providers import Issuer, issuer_of
from postern_operator.policy.stored import parse
from postern_operator.status import judge
from postern_operator.status.client import callback_url, keys_fault, secret_fault
from postern_operator.status.conditions import Problem, dated
from postern_operator.status.report import IssuerReport, read
from postern_operator.status.tally import MAX_LISTED, Tally, Wanted, tallies, total

__all__ = ["Seen", "differs", "observe"]

_HOUR = 13
"""Characters of an RFC 3339 time up to the hour."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the controller read in one pass."""

    workloads: Sequence[dict[str, Any]]
    """Deployments, StatefulSets and DaemonSets (with ``kind``) of the policy's namespace that name this policy."""
    pods: Sequence[dict[str, Any]]
    """Pods of the policy's namespace: at least those labelled for injection; others show up as unprotected when a
    workload's selector matches them. Pods of other policies may be among them; they are left out."""
    reports: Mapping[str, dict[str, Any] | None]
    """By pod uid: the sidecar's /status as JSON; None or absent when it did not answer."""
    shape: str | None = None
    """Hash of the shape that the policy's pods should have; None while the policy has faults."""


def observe(
    policy: dict[str, Any], config: SidecarConfig | None, problems: Sequence[Problem], seen: Seen, *, now: str
) -> dict[str, Any]:
    """Give the body of ``status`` (PolicyStatus as JSON), transition times carried over from ``policy['status']``.

    ``config`` is None when the policy has faults; ``problems`` then has one for Accepted. ``now`` is RFC 3339, UTC.
    """
    previous = policy.get("status") or {}
    metadata = policy["metadata"]
    generation = metadata.get("generation", 0)
    stored = None if config is None else parse(policy)
    issuer = None if stored is None else issuer_of(stored.spec)
    described = _described(config, previous)
    reports = {uid: read(report) for uid, report in seen.reports.items()}
    wanted = Wanted(metadata["name"], described["configHash"], seen.shape)
    counted = tallies(wanted, seen.workloads, seen.pods, reports)
    pods = total(counted)
    issuer_reports = [report.issuer for report in reports.values() if report is not None and report.issuer is not None]
    no_secret = None if stored is None or issuer is None else secret_fault(issuer_reports, stored, issuer)
    conditions = [
        judge.accepted(config, problems),
        judge.resolved_refs(problems, no_secret),
        judge.programmed(metadata["name"], config, problems, keys_fault(metadata["name"], issuer_reports)),
        judge.enforced(metadata["name"], pods, has_targets=bool(counted)),
        judge.issuer_reachable(issuer_reports, config, issuer),
        judge.audience_unchecked(config, issuer),
    ]
    conditions.append(judge.ready(conditions, pods))
    return {
        "observedGeneration": generation,
        **described,
        **_issuer(issuer_reports, previous, config, issuer),
        "targets": _targets(pods),
        "readyTargets": f"{pods.current}/{pods.desired}",
        "workloads": [_workload(tally, policy) for tally in counted[:MAX_LISTED]],
        "conditions": dated(conditions, previous.get("conditions") or [], generation=generation, now=now),
    }


def differs(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Tell whether a status is worth a write: transition times never are, the issuer's lastSuccess once an hour."""
    return _comparable(old) != _comparable(new)


def _comparable(status: dict[str, Any]) -> dict[str, Any]:
    conditions = [{**condition, "lastTransitionTime": ""} for condition in status.get("conditions") or []]
    issuer = dict(status.get("issuer") or {})
    issuer["lastSuccess"] = (issuer.get("lastSuccess") or "")[:_HOUR]
    return {**status, "conditions": conditions, "issuer": issuer}


def _described(config: SidecarConfig | None, previous: dict[str, Any]) -> dict[str, Any]:
    """Give what follows from the configuration; of the last valid one while the policy has faults."""
    if config is None:
        empty = {"configHash": "", "resourceMetadataURL": "", "callbackURL": "", "routes": [], "provider": ""}
        return {name: previous.get(name) or value for name, value in empty.items()}
    return {
        "configHash": config.hash,
        "resourceMetadataURL": config.resource.metadata_url,
        "callbackURL": callback_url(config),
        "routes": routes(config),
        "provider": config.issuer.provider,
    }


def _issuer(
    reports: Sequence[IssuerReport], previous: dict[str, Any], config: SidecarConfig | None, issuer: Issuer | None
) -> dict[str, Any]:
    """Give what the sidecar that knows most says of the issuer; what was known before, while none answers."""
    if not reports:
        known = previous.get("issuer")
        still_true = known and (issuer is None or known.get("issuer", "").rstrip("/") == issuer.issuer.rstrip("/"))
        return {"issuer": known} if still_true else {}
    keys = config is None or judge.needs_keys(config)
    best = max(reports, key=lambda report: (report.is_usable(needs_keys=keys), report.last_success or ""))
    return {
        "issuer": {
            "issuer": best.issuer,
            "jwksKeys": best.jwks_keys,
            "lastSuccess": best.last_success or "",
            "registration": best.registration,
            "metadataDocuments": best.metadata_documents,
            "issParameter": best.iss_parameter,
            "pkce": best.pkce,
        }
    }


def _targets(pods: Tally) -> dict[str, int]:
    return {
        "desired": pods.desired,
        "injected": pods.injected,
        "current": pods.current,
        "unprotected": pods.unprotected + pods.older,
        "unknown": pods.unknown,
    }


def _workload(tally: Tally, policy: dict[str, Any]) -> dict[str, Any]:
    capture = (policy["spec"].get("capture") or {}).get("mode", "Redirect")
    return {
        "kind": tally.kind,
        "name": tally.name,
        "desired": tally.desired,
        "injected": tally.injected,
        "current": tally.current,
        "capture": capture,
    }
