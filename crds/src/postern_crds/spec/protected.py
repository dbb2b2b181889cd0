"""What is protected: the resource as clients know it, and the server behind it."""

from typing import Annotated

from msgspec import Meta, field

from postern_crds.spec.fields import HostValue, Model, Path, PortNumber, Text, Url

__all__ = ["Resource", "Server"]


class Resource(Model, frozen=True):
    """The protected resource as MCP clients know it (RFC 9728)."""

    url: Annotated[
        Url,
        Meta(
            description="The URL people type into their MCP client, byte for byte. https, or http for localhost, 127.0.0.1 "
            "and [::1] only; no userinfo, query or fragment; no trailing slash unless the path is '/'. Immutable: clients "
            "bind their tokens to it.",
        ),
    ]
    prefix: Annotated[
        str,
        Meta(
            description="Path prefix that this server owns on the host, when an Ingress routes only part of the host "
            "here, such as '/weather'. Discovery documents are then served under it too. Empty: the whole host.",
            pattern=r"^(/[A-Za-z0-9._~-]+)*$",
            max_length=256,
        ),
    ] = ""
    name: Annotated[
        Text, Meta(description="Human-readable name, shown by clients (resource_name of RFC 9728). Empty: none.")
    ] = ""
    documentation: Annotated[
        str,
        Meta(
            description="URL of a page for developers (resource_documentation of RFC 9728). Empty: none.",
            max_length=1024,
            pattern=r"^(https?://[!-~]+)?$",
        ),
    ] = ""


class Server(Model, frozen=True):
    """The MCP server inside the pod."""

    port: Annotated[
        int | str | None,
        Meta(
            description="Container port, number or name, that the MCP server listens on. Absent: the only TCP port that "
            "the pod's containers declare.",
        ),
    ] = None
    path: Annotated[
        Path | None,
        Meta(description="Path at which the server serves MCP. Absent: the path of resource.url."),
    ] = None
    public_paths: Annotated[
        list[Path],
        Meta(
            description="Paths that are forwarded without a token: exact, or prefixes ending in '/*'. Never the MCP path.",
            max_length=16,
        ),
    ] = field(default_factory=list)
    exempt_ports: Annotated[
        list[PortNumber],
        Meta(
            description="Other ports of the pod that stay reachable from outside, such as a metrics port. All further TCP "
            "ports are closed.",
            max_length=32,
        ),
    ] = field(default_factory=list)
    host: Annotated[
        HostValue | None,
        Meta(description="Host header sent to the server. Absent: localhost:<port>; many servers refuse any other."),
    ] = None
    allowed_hosts: Annotated[
        list[Annotated[str, Meta(max_length=253, pattern=r"^(\*|[a-z0-9.:\[\]_-]+)$")]],
        Meta(
            description="Further Host header values that clients may send, besides the host of resource.url, localhost, "
            "and the pod's own addresses and Service names; without port any port is meant. '*' accepts every Host, for "
            "an Ingress that rewrites it. Others are answered with 421.",
            max_length=32,
        ),
    ] = field(default_factory=list)
    allowed_origins: Annotated[
        list[Annotated[str, Meta(max_length=253, pattern=r"^(https?|[a-z][a-z0-9+.-]*)://[a-z0-9.:\[\]_-]+$")]],
        Meta(
            description="Origins of browser clients, besides that of resource.url and those on loopback. A request with "
            "another Origin is answered with 403.",
            max_length=32,
        ),
    ] = field(default_factory=list)
