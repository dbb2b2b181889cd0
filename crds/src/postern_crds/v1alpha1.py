"""The custom resource McpAuthPolicy, version v1alpha1, as the API server stores it.

A field stands here only when it works. Defaults are part of the schema, so that ``kubectl get -o yaml`` shows them.
Descriptions are written once, here; the CRD and the documentation are generated from them.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

__all__ = [
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "Auth0",
    "BetterAuth",
    "CABundle",
    "Capture",
    "Claims",
    "ConfigMapKey",
    "Custom",
    "Forward",
    "ForwardedClaim",
    "Keycloak",
    "Model",
    "PolicySpec",
    "Provider",
    "Resource",
    "Resources",
    "Scopes",
    "Server",
    "SidecarOptions",
    "Supabase",
    "Verification",
    "WorkOS",
]

GROUP = "postern.dev"
VERSION = "v1alpha1"
KIND = "McpAuthPolicy"
PLURAL = "mcpauthpolicies"

# RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
ScopeToken = Annotated[str, Meta(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+$", max_length=256)]
ClaimName = Annotated[str, Meta(min_length=1, max_length=256)]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
Text = Annotated[str, Meta(max_length=256)]
Url = Annotated[str, Meta(min_length=1, max_length=512)]
Path = Annotated[str, Meta(pattern=r"^/[!-~]*$", max_length=256)]
DomainName = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$", max_length=253),
]
HostValue = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:\[\]_-]+$", max_length=253)]
ProjectReference = Annotated[str, Meta(pattern=r"^[a-z0-9]+$", max_length=63)]
ScopeList = Annotated[list[ScopeToken], Meta(max_length=64)]
AudienceList = Annotated[list[Annotated[str, Meta(min_length=1, max_length=1024)]], Meta(min_length=1, max_length=16)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
Quantity = int | str


class Model(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """Common settings: immutable, nothing unknown, camelCase on the wire."""


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


class WorkOS(Model, frozen=True):
    """WorkOS AuthKit. Add resource.url as a resource indicator in its dashboard."""

    domain: Annotated[DomainName, Meta(description="AuthKit domain, such as acme.authkit.app.")]


class Auth0(Model, frozen=True):
    """Auth0, with dynamic client registration enabled for the tenant."""

    domain: Annotated[DomainName, Meta(description="Tenant or custom domain, such as acme.eu.auth0.com.")]
    audience: Annotated[
        str,
        Meta(description="Identifier of the API at Auth0; it becomes the token's aud.", min_length=1, max_length=1024),
    ]


class Keycloak(Model, frozen=True):
    """A Keycloak realm. Tokens need resource.url in aud: put an audience mapper on the scopes that clients ask for."""

    url: Annotated[Url, Meta(description="Base URL of Keycloak, such as https://sso.example.com.")]
    realm: Annotated[str, Meta(description="Name of the realm.", pattern=r"^[A-Za-z0-9._~-]+$", max_length=255)]


class Supabase(Model, frozen=True):
    """Supabase Auth. Its tokens name no resource: any session of the project is accepted (condition AudienceUnchecked)."""

    url: Annotated[Url | None, Meta(description="Base URL of a self-hosted project. Either this or projectID.")] = None
    project_id: Annotated[
        ProjectReference | None, Meta(description="Project reference at supabase.co. Either this or url.")
    ] = field(name="projectID", default=None)


class BetterAuth(Model, frozen=True):
    """A Better Auth server with its OAuth provider plugin."""

    url: Annotated[
        Url,
        Meta(
            description="Issuer as Better Auth states it: base URL with base path, such as https://app.example.com/api/auth."
        ),
    ]


class Custom(Model, frozen=True):
    """Any OAuth 2.1 or OpenID Connect issuer that registers clients dynamically and signs JWT access tokens."""

    issuer: Annotated[Url, Meta(description="Issuer identifier, byte for byte as its metadata states it.")]
    jwks_uri: Annotated[
        Url | None, Meta(description="Location of the signing keys. Absent: discovered from the issuer's metadata.")
    ] = field(name="jwksURI", default=None)


class Provider(Model, frozen=True):
    """The identity provider: exactly one member."""

    workos: Annotated[WorkOS | None, Meta(description="WorkOS AuthKit.")] = None
    auth0: Annotated[Auth0 | None, Meta(description="Auth0.")] = None
    keycloak: Annotated[Keycloak | None, Meta(description="A Keycloak realm.")] = None
    supabase: Annotated[Supabase | None, Meta(description="Supabase Auth.")] = None
    better_auth: Annotated[BetterAuth | None, Meta(description="Better Auth.")] = None
    custom: Annotated[Custom | None, Meta(description="Any other issuer.")] = None


class ConfigMapKey(Model, frozen=True):
    """A key of a ConfigMap in the policy's namespace."""

    name: Annotated[
        str, Meta(description="Name of the ConfigMap.", pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)
    ]
    key: Annotated[
        str, Meta(description="Key that holds PEM certificates.", pattern=r"^[A-Za-z0-9._-]+$", max_length=253)
    ] = "ca.crt"


class CABundle(Model, frozen=True):
    """Extra trust for an identity provider with a private CA, in addition to the public ones."""

    config_map: Annotated[ConfigMapKey, Meta(description="Where the PEM certificates are.")]


class Scopes(Model, frozen=True):
    """OAuth scopes (RFC 6749 section 3.3)."""

    required: Annotated[
        ScopeList, Meta(description="Every request's token must have all of them; challenged on 401 and 403.")
    ] = field(default_factory=list)
    supported: Annotated[
        ScopeList | None,
        Meta(
            description="Advertised in discovery and asked for in the 401 challenge. Absent: the required ones. Never "
            "offline_access.",
        ),
    ] = None


class Verification(Model, frozen=True):
    """How access tokens are verified."""

    audiences: Annotated[
        AudienceList | None,
        Meta(
            description="The token's aud must name one of them. Absent: what the provider issues, mostly resource.url."
        ),
    ] = None
    audience: Annotated[
        Literal["Required", "IssuerOnly"],
        Meta(
            description="IssuerOnly waives the check of aud: any token of the issuer is accepted. Condition "
            "AudienceUnchecked tells so.",
        ),
    ] = "Required"
    algorithms: Annotated[
        list[Algorithm],
        Meta(
            description="Accepted signature algorithms; 'none' and shared secrets (HS*) never are.",
            min_length=1,
            max_length=11,
        ),
    ] = field(default_factory=lambda: ["RS256", "PS256", "ES256", "EdDSA"])
    leeway_seconds: Annotated[
        int, Meta(description="Clock difference tolerated for exp, nbf and iat, in seconds.", ge=0, le=300)
    ] = 30


class Claims(Model, frozen=True):
    """Claim table: for each field the claims to look at, in order. A dot-less name is taken literally; 'a.b' also looks inside a."""

    user_id: Annotated[list[ClaimName], Meta(description="Stable id of the user.", max_length=8)] = field(
        default_factory=lambda: ["sub", "user_id", "id"]
    )
    email: Annotated[list[ClaimName], Meta(description="E-mail address.", max_length=8)] = field(
        default_factory=lambda: ["email"]
    )
    name: Annotated[list[ClaimName], Meta(description="Display name.", max_length=8)] = field(
        default_factory=lambda: ["name"]
    )
    username: Annotated[list[ClaimName], Meta(description="Login name.", max_length=8)] = field(
        default_factory=lambda: ["username", "preferred_username"]
    )
    nickname: Annotated[list[ClaimName], Meta(description="Nickname.", max_length=8)] = field(
        default_factory=lambda: ["nickname"]
    )
    picture: Annotated[list[ClaimName], Meta(description="URL of a picture.", max_length=8)] = field(
        default_factory=lambda: ["picture", "avatar_url"]
    )
    roles: Annotated[list[ClaimName], Meta(description="Roles: an array of strings.", max_length=8)] = field(
        default_factory=lambda: ["roles"]
    )
    permissions: Annotated[list[ClaimName], Meta(description="Permissions: an array of strings.", max_length=8)] = (
        field(default_factory=lambda: ["permissions"])
    )
    organization_id: Annotated[list[ClaimName], Meta(description="Organization or tenant.", max_length=8)] = field(
        default_factory=lambda: ["organization_id", "org_id"]
    )
    scopes: Annotated[
        list[ClaimName], Meta(description="Scopes: a space-separated string or an array of strings.", max_length=8)
    ] = field(default_factory=lambda: ["scope", "scp"])


class ForwardedClaim(Model, frozen=True):
    """A further claim that the server gets as a header."""

    claim: Annotated[ClaimName, Meta(description="Claim of the token; 'a.b' also looks inside a.")]
    header: Annotated[
        str,
        Meta(
            description="Header name. Names that carry protocol or identity are refused.",
            pattern=r"^[A-Za-z0-9-]+$",
            max_length=64,
        ),
    ]


class Forward(Model, frozen=True):
    """What the server learns of the caller."""

    identity_headers: Annotated[
        bool,
        Meta(
            description="Send X-Mcp-User-Id, -Email, -Name, -Username, -Nickname, -Picture, X-Mcp-Org-Id, X-Mcp-Roles, -Permissions, "
            "-Scopes. Such headers of a client are always removed.",
        ),
    ] = True
    claims: Annotated[list[ForwardedClaim], Meta(description="Further claims as headers.", max_length=32)] = field(
        default_factory=list
    )


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


class PolicySpec(Model, frozen=True):
    """What a user asks for."""

    resource: Annotated[Resource, Meta(description="The protected resource as MCP clients know it.")]
    mode: Annotated[
        Literal["Direct"],
        Meta(
            description="Direct: clients register and log in at the identity provider itself; Postern points them there."
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
