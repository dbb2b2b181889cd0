"""The identity providers; each member holds what identifies an account there."""

from typing import Annotated

from msgspec import Meta, field

from postern_crds.spec.fields import ApplicationIdUri, DomainName, Model, ProjectReference, Url

__all__ = [
    "Auth0",
    "BetterAuth",
    "Custom",
    "Entra",
    "GitHub",
    "Google",
    "Keycloak",
    "Okta",
    "Provider",
    "Supabase",
    "WorkOS",
]


class WorkOS(Model, frozen=True):
    """WorkOS AuthKit. Mode Direct: add resource.url as a resource indicator. Mode Proxy: an OAuth application of Connect."""

    domain: Annotated[DomainName, Meta(description="AuthKit domain, such as acme.authkit.app.")]


class Auth0(Model, frozen=True):
    """Auth0. Mode Direct: with dynamic client registration enabled for the tenant. Mode Proxy: a regular web application."""

    domain: Annotated[DomainName, Meta(description="Tenant or custom domain, such as acme.eu.auth0.com.")]
    audience: Annotated[
        str,
        Meta(description="Identifier of the API at Auth0; it becomes the token's aud.", min_length=1, max_length=1024),
    ]


class Google(Model, frozen=True):
    """Google accounts. Mode Proxy only: access tokens are opaque and are bound to Postern's client by tokeninfo."""


class GitHub(Model, frozen=True):
    """GitHub, with an OAuth app or a GitHub App. Mode Proxy only: tokens are opaque and are checked as tokens of that app."""

    enterprise_url: Annotated[
        Url | None,
        Meta(
            description="Base URL of a GitHub Enterprise Server, such as https://github.example.com, or of an enterprise "
            "at ghe.com. Absent: github.com."
        ),
    ] = field(name="enterpriseURL", default=None)


class Okta(Model, frozen=True):
    """A custom authorization server of Okta; the org's own server issues tokens that only Okta can verify."""

    domain: Annotated[DomainName, Meta(description="Domain of the org, such as acme.okta.com, or its custom domain.")]
    authorization_server: Annotated[
        str,
        Meta(description="Id of the custom authorization server.", pattern=r"^[A-Za-z0-9._~-]+$", max_length=128),
    ] = "default"
    audience: Annotated[
        str,
        Meta(description="Audience of that authorization server: the aud of its tokens.", min_length=1, max_length=512),
    ] = "api://default"


class Entra(Model, frozen=True):
    """Microsoft Entra ID, one tenant."""

    tenant_id: Annotated[
        str, Meta(description="GUID of the tenant (directory id): issuers are named by it.", max_length=64)
    ] = field(name="tenantID")
    authority: Annotated[
        DomainName,
        Meta(
            description="Host of the cloud: login.microsoftonline.com, login.microsoftonline.us (US government), "
            "login.partner.microsoftonline.cn (China), or <tenant>.ciamlogin.com (External ID)."
        ),
    ] = "login.microsoftonline.com"
    application_id_uri: Annotated[
        ApplicationIdUri | None,
        Meta(description="Application ID URI of the API whose scopes are asked for. Absent: api://<client id>."),
    ] = field(name="applicationIDURI", default=None)


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
    """Any OAuth 2.1 or OpenID Connect issuer. What is absent is discovered from its metadata.

    With authorizationEndpoint, tokenEndpoint, jwksURI and the endpoint that verification.kind needs all given, mode Proxy
    reads no metadata.
    """

    issuer: Annotated[Url, Meta(description="Issuer identifier, byte for byte as its metadata states it.")]
    authorization_endpoint: Annotated[
        Url | None, Meta(description="Where users are sent to log in (mode Proxy). Absent: discovered.")
    ] = None
    token_endpoint: Annotated[
        Url | None, Meta(description="Where codes are exchanged (mode Proxy). Absent: discovered.")
    ] = None
    jwks_uri: Annotated[Url | None, Meta(description="Location of the signing keys. Absent: discovered.")] = field(
        name="jwksURI", default=None
    )
    userinfo_endpoint: Annotated[
        Url | None,
        Meta(
            description="Claims of the user. When given, mode Proxy adds them to those of the tokens at each login; with "
            "verification.kind: Userinfo it verifies tokens. Absent: discovered for that kind."
        ),
    ] = None
    introspection_endpoint: Annotated[
        Url | None, Meta(description="RFC 7662, for verification.kind: Introspection. Absent: discovered.")
    ] = None
    revocation_endpoint: Annotated[
        Url | None, Meta(description="RFC 7009, for the revocation of logins (mode Proxy). Absent: discovered.")
    ] = None


class Provider(Model, frozen=True):
    """The identity provider: exactly one member."""

    workos: Annotated[WorkOS | None, Meta(description="WorkOS AuthKit.")] = None
    auth0: Annotated[Auth0 | None, Meta(description="Auth0.")] = None
    google: Annotated[Google | None, Meta(description="Google accounts (mode Proxy).")] = None
    github: Annotated[GitHub | None, Meta(description="GitHub (mode Proxy).")] = None
    okta: Annotated[Okta | None, Meta(description="Okta, a custom authorization server.")] = None
    entra: Annotated[Entra | None, Meta(description="Microsoft Entra ID.")] = None
    keycloak: Annotated[Keycloak | None, Meta(description="A Keycloak realm.")] = None
    supabase: Annotated[Supabase | None, Meta(description="Supabase Auth (mode Direct).")] = None
    better_auth: Annotated[BetterAuth | None, Meta(description="Better Auth.")] = None
    custom: Annotated[Custom | None, Meta(description="Any other issuer.")] = None
