"""Scopes, and how access tokens are verified."""

from typing import Annotated, Literal

from msgspec import Meta, field

from postern_crds.spec.fields import Algorithm, AudienceList, ClientId, Model, ScopeList
from postern_crds.spec.references import SecretKey

__all__ = ["Introspection", "Scopes", "Verification"]


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
    requested: Annotated[
        ScopeList | None,
        Meta(
            description="Asked for at the identity provider at each login, besides those that the client asks for (mode "
            "Proxy). Absent: what the provider's preset needs to know the user. openid is added where the provider is "
            "OpenID Connect; a custom one without openid here is taken as plain OAuth 2."
        ),
    ] = None


class Introspection(Model, frozen=True):
    """As whom tokens are introspected (RFC 7662). In mode Proxy both may be left out: proxy.client is used."""

    client_id: Annotated[
        ClientId | None,
        Meta(description="Client id that may introspect."),
    ] = field(name="clientID", default=None)
    secret_ref: Annotated[SecretKey | None, Meta(description="Where its secret is.")] = None
    cache_seconds: Annotated[
        int, Meta(description="How long an answer is trusted; never beyond the token's exp.", ge=0, le=3600)
    ] = 30


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
            description="IssuerOnly waives the check of aud, and of client_id for WorkOS in mode Proxy: any token of the "
            "issuer is accepted. Condition AudienceUnchecked tells so.",
        ),
    ] = "Required"
    kind: Annotated[
        Literal["JWT", "Introspection", "Userinfo"] | None,
        Meta(
            description="JWT: by the issuer's keys. Introspection: by asking the issuer (RFC 7662). Userinfo: by asking "
            "its userinfo endpoint, which binds a token to nobody. Absent: the provider's own way, mostly JWT."
        ),
    ] = None
    introspection: Annotated[
        Introspection | None, Meta(description="As whom tokens are introspected, for kind: Introspection.")
    ] = None
    cache_seconds: Annotated[
        int,
        Meta(
            description="How long the answer of another remote check (userinfo; Google's and GitHub's own) is trusted; "
            "never beyond the token's exp.",
            ge=0,
            le=3600,
        ),
    ] = 60
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
