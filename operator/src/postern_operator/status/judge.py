"""What the counts, reports and problems mean: this module is the wording of each condition.

A condition is True only when it was seen to be so; what could not be seen is Unknown.
"""

from collections.abc import Iterator, Sequence

from postern_crds.sidecar_config import SidecarConfig, VerificationConfig
from postern_operator import names
from postern_operator.policy.providers import Issuer
from postern_operator.status.conditions import Condition, Problem, from_problem
from postern_operator.status.report import IssuerReport
from postern_operator.status.tally import Tally

__all__ = [
    "accepted",
    "audience_unchecked",
    "enforced",
    "issuer_reachable",
    "needs_keys",
    "programmed",
    "ready",
    "resolved_refs",
]


def accepted(config: SidecarConfig | None, problems: Sequence[Problem]) -> Condition:
    """Tell whether the spec is valid; in mode Proxy also what it takes at the identity provider."""
    if found := from_problem("Accepted", problems):
        return found
    message = "the policy is valid"
    if config is not None and config.proxy is not None:
        upstream = config.proxy.upstream
        message += f"; redirect URI to enter at the identity provider for client {upstream.client_id}: "
        message += upstream.redirect_uri
    return Condition("Accepted", "True", "Accepted", message)


def resolved_refs(problems: Sequence[Problem], fault: Condition | None) -> Condition:
    """Tell whether everything that the policy refers to is there; ``fault``: what the sidecars miss of it."""
    found = from_problem("ResolvedRefs", problems) or fault
    return found or Condition("ResolvedRefs", "True", "ResolvedRefs", "everything that the policy refers to exists")


def programmed(
    name: str, config: SidecarConfig | None, problems: Sequence[Problem], fault: Condition | None
) -> Condition:
    """Tell whether the configuration is where the sidecars read it; ``fault``: what they miss of it."""
    place = f"ConfigMap {names.config_map_name(name)}"
    if found := from_problem("Programmed", problems):
        return found
    if config is None:
        message = f"{place} still holds the last valid configuration, if there was one: correct the policy"
        return Condition("Programmed", "False", "PolicyInvalid", message)
    message = f"{place} holds configuration {config.hash}"
    if config.mode == "Proxy":
        message += f", Secret {names.keys_secret_name(name)} its key ring"
    return fault or Condition("Programmed", "True", "Programmed", message)


def enforced(name: str, pods: Tally, *, has_targets: bool) -> Condition:
    """Tell whether every running pod has the sidecar, and the sidecar the wanted configuration, as itself reports."""
    if not has_targets:
        message = (
            f"no workload names this policy: put the annotation {names.POLICY_ANNOTATION}: {name} on a Deployment, "
            "StatefulSet or DaemonSet of this namespace"
        )
        return Condition("Enforced", "Unknown", "NoTargets", message)
    if (fault := _pod_fault(pods)) is not None:
        reason, message = fault
        return Condition("Enforced", "False", reason, message)
    if pods.unknown:
        message = (
            f"{_pods(pods.unknown)} with a sidecar that does not answer the controller on its health port: check that "
            "network policies let the controller reach it"
        )
        return Condition("Enforced", "Unknown", "SidecarsUnreachable", message)
    if pods.desired and not pods.injected:
        message = f"no protected pod runs yet, {pods.desired} wanted: see the Events of the workload and its ReplicaSet"
        return Condition("Enforced", "Unknown", "NoPods", message)
    return Condition("Enforced", "True", "Enforced", f"all {pods.injected} running pods have the wanted configuration")


def _pod_fault(pods: Tally) -> tuple[str, str] | None:
    """Give reason and message of what is seen to be wrong with running pods, the worst first."""
    if pods.unprotected:
        what = "without the sidecar: delete them, so that they are created anew with it"
        return "UnprotectedPods", f"{_pods(pods.unprotected)} {what}"
    if pods.older:
        return "RollingOut", f"{_pods(pods.older)} from before the protection; the rollout goes on"
    if pods.degraded:
        what = f"see the log of container {names.SIDECAR_CONTAINER}; its image must be of the operator's release"
        return "SidecarsDegraded", f"{_pods(pods.degraded)} with a sidecar that cannot read its configuration: {what}"
    if pods.stale:
        return "Updating", f"{_pods(pods.stale)} with an older configuration or form of the sidecar"
    return None


def issuer_reachable(reports: Sequence[IssuerReport], config: SidecarConfig | None, issuer: Issuer | None) -> Condition:
    """Tell whether the sidecars can verify tokens of the identity provider, and what clients will miss there."""
    if not reports or config is None or issuer is None:
        return Condition("IssuerReachable", "Unknown", "NoReports", "no sidecar has reported about the issuer yet")
    keys = needs_keys(config)
    failing = [report for report in reports if not report.is_usable(needs_keys=keys)]
    if failing:
        silent = "it has no usable signing keys yet" if keys else "it has not answered yet"
        error = next((report.error for report in failing if report.error), silent)
        return Condition(
            "IssuerReachable",
            "False",
            "IssuerUnreachable",
            f"{len(failing)} of {len(reports)} sidecars cannot use {issuer.issuer}: {error}. {issuer.advice.issuer}",
        )
    message = f"the sidecars have the signing keys of {issuer.issuer}" if keys else f"{issuer.issuer} answers"
    if config.mode == "Proxy":  # clients register with us and never see its metadata
        return Condition("IssuerReachable", "True", "Reachable", message)
    if not any(report.registration or report.metadata_documents for report in reports):
        message += f". Clients cannot register there by themselves: {issuer.advice.registration}"
    if not any(report.pkce for report in reports):
        message += ". Its metadata does not advertise PKCE with S256, and clients refuse to log in without it"
    return Condition("IssuerReachable", "True", "Reachable", message)


def needs_keys(config: SidecarConfig) -> bool:
    """Tell whether anything is verified with the issuer's signing keys: access tokens that are JWTs, or ID tokens."""
    return config.verification.remote is None or (config.proxy is not None and config.proxy.upstream.openid)


def audience_unchecked(config: SidecarConfig | None, issuer: Issuer | None) -> Condition:
    """Tell whether tokens for other resources of the same issuer are accepted too (True is the bad news)."""
    kind = "AudienceUnchecked"
    if config is None or issuer is None:
        return Condition(kind, "Unknown", "PolicyInvalid", "the policy is not valid")
    if config.proxy is not None and config.proxy.token_mode == "Sealed":  # noqa: S105 - a mode
        message = f"tokens are sealed for {config.resource.url} alone"
        return Condition(kind, "False", "AudienceChecked", message)
    verification, advice = config.verification, issuer.advice.audience
    if not verification.audience_required and not verification.client_id:
        message = f"verification.audience is IssuerOnly: every token of {issuer.issuer} is accepted"
        return Condition(kind, "True", "IssuerOnly", f"{message}, for whatever it was issued")
    if not issuer.names_resource and set(verification.audiences) & set(issuer.audiences):
        message = f"every token of {issuer.issuer} is accepted, because its aud names no resource"
        return Condition(kind, "True", "AudienceNamesNoResource", f"{message}. {advice}")
    wanted = " and ".join(_asked_of_tokens(verification))
    return Condition(kind, "False", "AudienceChecked", f"{wanted}. {advice}")


def _asked_of_tokens(verification: VerificationConfig) -> Iterator[str]:
    if verification.audience_required:
        yield f"aud of every token must name one of: {', '.join(verification.audiences)}"
    if verification.client_id:
        yield f"client_id of every token must be {verification.client_id}"


def ready(conditions: Sequence[Condition], pods: Tally) -> Condition:
    """Sum up: True when the wanted pods run, protected as the policy says, with an identity provider that answers."""
    by_type = {condition.type: condition for condition in conditions}
    for kind in ("Accepted", "ResolvedRefs", "Programmed", "Enforced"):
        if by_type[kind].status != "True":
            return Condition("Ready", "False", by_type[kind].reason, by_type[kind].message)
    if by_type["IssuerReachable"].status == "False":
        return Condition("Ready", "False", by_type["IssuerReachable"].reason, by_type["IssuerReachable"].message)
    if pods.current < pods.desired:
        message = f"{pods.current} of {pods.desired} pods run with the wanted configuration"
        return Condition("Ready", "False", "PodsMissing", f"{message}: see the Events of the workload")
    return Condition("Ready", "True", "Ready", f"{pods.current} of {pods.desired} pods are protected")


def _pods(count: int) -> str:
    return "1 pod runs" if count == 1 else f"{count} pods run"
