"""The status of McpAuthPolicy, version v1alpha1: what is, as the controller sees it."""

from typing import Annotated, Literal

from msgspec import Meta, field

from postern_crds.v1alpha1 import Model

__all__ = ["Condition", "IssuerStatus", "PolicyStatus", "Targets", "WorkloadStatus"]


class Condition(Model, frozen=True):
    """A condition as in metav1.Condition."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


class IssuerStatus(Model, frozen=True):
    """The identity provider as the sidecars saw it."""

    issuer: Annotated[str, Meta(description="Issuer identifier as its metadata states it.")]
    jwks_keys: Annotated[int, Meta(description="Number of usable signing keys.")] = 0
    last_success: Annotated[str, Meta(description="Time of the latest successful fetch of the keys (RFC 3339).")] = ""
    registration: Annotated[bool, Meta(description="Whether it offers dynamic client registration (RFC 7591).")] = False
    metadata_documents: Annotated[bool, Meta(description="Whether it accepts client ID metadata documents.")] = False
    iss_parameter: Annotated[bool, Meta(description="Whether it sends iss on redirects (RFC 9207).")] = False
    pkce: Annotated[bool, Meta(description="Whether it advertises PKCE with S256 (RFC 7636).")] = False


class Targets(Model, frozen=True):
    """Counts of pods over all workloads, taken from the pods."""

    desired: Annotated[int, Meta(description="Pods that the workloads want.")] = 0
    injected: Annotated[int, Meta(description="Running pods that have the sidecar.")] = 0
    current: Annotated[int, Meta(description="Of these, pods whose sidecar reports the wanted configuration.")] = 0
    unprotected: Annotated[int, Meta(description="Running pods of the workloads without the sidecar.")] = 0
    unknown: Annotated[int, Meta(description="Injected pods whose sidecar does not answer.")] = 0


class WorkloadStatus(Model, frozen=True):
    """One protected workload."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet", "Pod"]
    name: str
    desired: int = 0
    injected: int = 0
    current: int = 0
    capture: str = ""


class PolicyStatus(Model, frozen=True):
    """What is, as the controller sees it."""

    observed_generation: Annotated[int, Meta(description="Generation of the spec that this status describes.")] = 0
    config_hash: Annotated[str, Meta(description="Hash of the configuration that every sidecar should report.")] = ""
    resource_metadata_url: Annotated[str, Meta(description="URL of the protected resource metadata (RFC 9728).")] = (
        field(name="resourceMetadataURL", default="")
    )
    callback_url: Annotated[str, Meta(description="Redirect URI to enter at the identity provider (mode Proxy).")] = (
        field(name="callbackURL", default="")
    )
    routes: Annotated[list[str], Meta(description="Paths that an Ingress must send to the protected Service.")] = field(
        default_factory=list
    )
    issuer: Annotated[IssuerStatus | None, Meta(description="The identity provider as the sidecars saw it.")] = None
    targets: Annotated[Targets | None, Meta(description="Counts of pods over all workloads.")] = None
    ready_targets: Annotated[
        str, Meta(description="Pods with the wanted configuration of those wanted, such as 3/3.")
    ] = ""
    provider: Annotated[str, Meta(description="Name of the provider in use.")] = ""
    workloads: Annotated[list[WorkloadStatus], Meta(description="The protected workloads, at most 100.")] = field(
        default_factory=list
    )
    conditions: Annotated[
        list[Condition],
        Meta(
            description="Accepted, ResolvedRefs, Programmed, Enforced, IssuerReachable, AudienceUnchecked, Ready.",
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = field(default_factory=list)
