"""Where an identity is found in a token, and what the server learns of it."""

from typing import Annotated, Literal

from msgspec import Meta, field

from postern_crds.spec.fields import ClaimName, Model

__all__ = ["Claims", "Forward", "ForwardedClaim"]


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
            "-Scopes, and X-Mcp-Claims (all claims as base64url JSON, bounded). Such headers of a client are always removed.",
        ),
    ] = True
    claims: Annotated[list[ForwardedClaim], Meta(description="Further claims as headers.", max_length=32)] = field(
        default_factory=list
    )
    access_token: Annotated[
        Literal["Strip", "Upstream", "AsReceived"],
        Meta(
            description="What the server gets as Authorization. Strip: nothing. Upstream: the identity provider's access "
            "token, to call its APIs for the user (mode Proxy). AsReceived: what the client sent."
        ),
    ] = "Strip"  # noqa: S105 - a mode
