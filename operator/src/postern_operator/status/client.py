"""Ourselves as a client of the identity provider (mode Proxy): this module words what the sidecars say of it."""

from collections.abc import Sequence

from postern_crds.sidecar_config import SidecarConfig
from postern_operator import names
from postern_operator.policy.providers import Issuer
from postern_operator.policy.stored import Policy
from postern_operator.status.conditions import Condition
from postern_operator.status.report import IssuerReport

__all__ = ["callback_url", "keys_fault", "secret_fault"]

_TAKEN_UP = "running pods take it up within about a minute"
"""The kubelet's sync period: nobody may read the Secrets of a namespace, so nothing tells of a change."""


def callback_url(config: SidecarConfig) -> str:
    """Give the redirect URI to enter at the identity provider; empty in mode Direct."""
    return "" if config.proxy is None else config.proxy.upstream.redirect_uri


def secret_fault(reports: Sequence[IssuerReport], policy: Policy, issuer: Issuer) -> Condition | None:
    """Give the condition ResolvedRefs while a sidecar lacks the client's secret or saw it refused; None: none does."""
    proxy = policy.spec.proxy
    if proxy is None or proxy.client.secret_ref is None:
        return None
    client, reference = proxy.client, proxy.client.secret_ref
    place = f"Secret {policy.namespace}/{reference.name}, key {reference.key} (spec.proxy.client.secretRef)"
    if (missing := _count(reports, "secret_missing")) is not None:
        what = f"find no secret of client {client.id}: put what {issuer.provider} shows for that client into {place}"
        return Condition("ResolvedRefs", "False", "ClientSecretMissing", _told(missing, what, issuer))
    if (rejected := _count(reports, "secret_rejected")) is not None:
        what = f"saw {issuer.issuer} refuse client {client.id}: correct {place}, spec.proxy.client.id or authMethod"
        return Condition("ResolvedRefs", "False", "ClientSecretRejected", _told(rejected, what, issuer))
    return None


def _told(who: str, what: str, issuer: Issuer) -> str:
    return f"{who} {what}; {_TAKEN_UP}. {issuer.advice.client}"


def keys_fault(name: str, reports: Sequence[IssuerReport]) -> Condition | None:
    """Give the condition Programmed while a sidecar has no key ring, so that nobody can log in; None: none does."""
    missing = _count(reports, "keys_missing")
    if missing is None:
        return None
    place = f"Secret {names.keys_secret_name(name)}"
    message = f"{missing} have no key ring yet: {_TAKEN_UP} from {place}, which comes back in minutes once deleted"
    return Condition("Programmed", "False", "KeysMissing", message)


def _count(reports: Sequence[IssuerReport], state: str) -> str | None:
    """Give such as '1 of 3 sidecars'; None when no sidecar reports this state. Older sidecars report none."""
    count = sum(1 for report in reports if report.client == state)
    return f"{count} of {len(reports)} sidecars" if count else None
