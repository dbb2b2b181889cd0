"""What is put into the pods: traffic capture and the sidecar container."""

from typing import Annotated, Literal

from msgspec import Meta, field

from postern_crds.spec.fields import Model, Quantity

__all__ = ["Capture", "Resources", "SidecarOptions"]


class Capture(Model, frozen=True):
    """How traffic to the server's port is brought to the sidecar."""

    mode: Annotated[
        Literal["Redirect"],
        Meta(
            description="Redirect: an init container with NET_ADMIN installs kernel rules; any server works untouched. The "
            "namespace must not enforce the baseline or restricted Pod Security Standard.",
        ),
    ] = "Redirect"


class Resources(Model, frozen=True):
    """Compute resources of the sidecar container."""

    requests: Annotated[dict[str, Quantity], Meta(description="Requests, such as cpu and memory.", max_length=4)] = (
        field(default_factory=lambda: {"cpu": "25m", "memory": "64Mi"})
    )
    limits: Annotated[dict[str, Quantity], Meta(description="Limits, such as cpu and memory.", max_length=4)] = field(
        default_factory=lambda: {"cpu": "1", "memory": "192Mi"}
    )


class SidecarOptions(Model, frozen=True):
    """The sidecar container itself."""

    resources: Annotated[
        Resources, Meta(description="Compute resources of the container. A change rolls the workloads.")
    ] = field(default_factory=Resources)
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least level of log lines. Tokens are never logged."),
    ] = "info"
    audit: Annotated[
        bool,
        Meta(
            description="One log line for each decision: outcome, reason, issuer, subject, client, method, path, request id."
        ),
    ] = True
