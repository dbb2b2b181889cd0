"""What the sidecar says of itself: this module builds the answers of ``/status`` and ``/readyz``."""

from datetime import UTC, datetime
from typing import Any, Protocol

from postern_crds.sidecar_config import SidecarConfig

__all__ = ["IssuerView", "status_document", "unready_reasons"]

_SCHEMA_VERSION = 1


class IssuerView(Protocol):
    """The identity provider as the gate saw it."""

    @property
    def issuer(self) -> str: ...  # noqa: D102 - a protocol; the gate describes its fields
    @property
    def reachable(self) -> bool: ...  # noqa: D102
    @property
    def jwks_keys(self) -> int: ...  # noqa: D102
    @property
    def last_success(self) -> float | None: ...  # noqa: D102
    @property
    def last_error(self) -> str | None: ...  # noqa: D102
    @property
    def registration(self) -> bool: ...  # noqa: D102
    @property
    def metadata_documents(self) -> bool: ...  # noqa: D102
    @property
    def iss_parameter(self) -> bool: ...  # noqa: D102
    @property
    def pkce(self) -> bool: ...  # noqa: D102
    @property
    def client(self) -> str: ...  # noqa: D102


def status_document(
    config: SidecarConfig | None, issuer: IssuerView | None, *, degraded: str | None, started_at: float
) -> dict[str, Any]:
    """Give the document the controller reads.

    Without a policy configHash is empty, generation 0, policy and issuer are null.
    """
    return {
        "schemaVersion": _SCHEMA_VERSION,
        "configHash": config.hash if config else "",
        "generation": config.policy.generation if config else 0,
        "policy": _policy(config) if config else None,
        "degraded": degraded,
        "issuer": _issuer(issuer) if issuer else None,
        "startedAt": _rfc3339(started_at),
    }


def unready_reasons(*, has_policy: bool, waits_for: str | None, fault: str | None, is_draining: bool) -> list[str]:
    """Say why no traffic should come; empty: ready.

    waits_for: what the policy lacks to verify tokens. fault counts only while there is no policy at all.
    """
    reasons = []
    if is_draining:
        reasons.append("shutting down")
    if not has_policy:
        reasons.append(f"no usable policy: {fault}" if fault else "the policy is not loaded yet")
    elif waits_for is not None:
        reasons.append(waits_for)
    return reasons


def _policy(config: SidecarConfig) -> dict[str, str]:
    policy = config.policy
    return {"namespace": policy.namespace, "name": policy.name, "uid": policy.uid}


def _issuer(view: IssuerView) -> dict[str, Any]:
    return {
        "issuer": view.issuer,
        "reachable": view.reachable,
        "jwksKeys": view.jwks_keys,
        "lastSuccess": _rfc3339(view.last_success) if view.last_success is not None else None,
        "lastError": view.last_error,
        "registration": view.registration,
        "metadataDocuments": view.metadata_documents,
        "issParameter": view.iss_parameter,
        "pkce": view.pkce,
        "client": view.client,
    }


def _rfc3339(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
