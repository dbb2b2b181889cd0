"""The custom resource McpAuthPolicy, version v1alpha1, as the API server stores it.

A field stands here only when it works. Defaults are part of the schema, so that ``kubectl get -o yaml`` shows them.
Descriptions are written once, beside the fields; the CRD and the documentation are generated from them.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from postern_crds.spec.container import Capture, SidecarOptions
from postern_crds.spec.fields import Model
from postern_crds.spec.identity import Claims, Forward
from postern_crds.spec.protected import Resource, Server
from postern_crds.spec.providers import Provider
from postern_crds.spec.proxy import Proxy
from postern_crds.spec.references import CABundle
from postern_crds.spec.tokens import Scopes, Verification

__all__ = [
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "CABundle",
    "Capture",
    "Claims",
    "Forward",
    "Model",
    "PolicySpec",
    "Provider",
    "Proxy",
    "Resource",
    "Scopes",
    "Server",
    "SidecarOptions",
    "Verification",
]

GROUP = "postern.dev"
VERSION = "v1alpha1"
KIND = "McpAuthPolicy"
PLURAL = "mcpauthpolicies"


class PolicySpec(Model, frozen=True):
    """What a user asks for."""

    resource: Annotated[Resource, Meta(description="The protected resource as MCP clients know it.")]
    mode: Annotated[
        Literal["Direct", "Proxy"],
        Meta(
            description="Direct: clients register and log in at the identity provider itself; Postern points them there. "
            "Proxy: clients register and log in at Postern, which is one registered client of the identity provider."
        ),
    ]
    provider: Annotated[Provider, Meta(description="The identity provider: exactly one member.")]
    server: Annotated[Server, Meta(description="The MCP server inside the pod.")] = field(default_factory=Server)
    ca_bundle: Annotated[
        CABundle | None, Meta(description="Extra trust for an identity provider with a private CA.")
    ] = field(name="caBundle", default=None)
    scopes: Annotated[Scopes, Meta(description="OAuth scopes.")] = field(default_factory=Scopes)
    verification: Annotated[Verification, Meta(description="How access tokens are verified.")] = field(
        default_factory=Verification
    )
    proxy: Annotated[Proxy | None, Meta(description="The facade; with mode Proxy, and only then.")] = None
    claims: Annotated[Claims, Meta(description="Claim table: where each field of an identity is found in a token.")] = (
        field(default_factory=Claims)
    )
    forward: Annotated[Forward, Meta(description="What the server learns of the caller.")] = field(
        default_factory=Forward
    )
    capture: Annotated[Capture, Meta(description="How traffic is brought to the sidecar.")] = field(
        default_factory=Capture
    )
    sidecar: Annotated[SidecarOptions, Meta(description="The sidecar container itself.")] = field(
        default_factory=SidecarOptions
    )
