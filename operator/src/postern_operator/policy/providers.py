"""What each identity provider needs from us and from its owner: this module is that one table, in mode Direct.

A row is data; nothing else in the operator knows a provider by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from postern_crds.v1alpha1 import PolicySpec, Provider

__all__ = ["Advice", "Issuer", "issuer_of"]


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do at the provider; shown in conditions. ``{resource}`` stands for resource.url."""

    audience: str
    """So that its tokens name the resource."""
    registration: str
    """So that clients can register by themselves."""
    issuer: str
    """When its metadata or keys cannot be read."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """The authorization server of one policy."""

    provider: str
    """Member of spec.provider."""
    issuer: str
    """Identifier, byte for byte as its metadata states it (SPEC 17)."""
    metadata_urls: tuple[str, ...]
    """Where its metadata may be, in the order to try (SPEC 19)."""
    jwks_uri: str | None
    """None: from the metadata."""
    audiences: tuple[str, ...]
    """What its tokens name in aud when the policy does not say."""
    names_resource: bool
    """Whether those audiences tell this resource from others of the same provider."""
    claims: Mapping[str, tuple[str, ...]]
    """Claims to look at, by field of the claim table, where the user left the default."""
    advice: Advice


@dataclass(frozen=True, slots=True)
class _Preset:
    """One row. ``{…}`` in a template is a field of the provider's member, or ``resource``: resource.url."""

    issuer: tuple[str, ...]
    """Templates: the first whose fields the member has."""
    advice: Advice
    audience: str = "{resource}"
    names_resource: bool = True
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_PRESETS: Mapping[str, _Preset] = {
    "workos": _Preset(
        issuer=("https://{domain}",),
        advice=Advice(
            audience="In the WorkOS dashboard add {resource} as a resource indicator, else tokens name no audience.",
            registration="In the WorkOS dashboard, under Connect, Configuration, switch on dynamic client registration "
            "or client ID metadata documents.",
            issuer="Check provider.workos.domain: it is the AuthKit domain, such as acme.authkit.app.",
        ),
    ),
    "auth0": _Preset(
        # Auth0 states its issuer with the slash; without it clients refuse the metadata (RFC 8414 section 3.3).
        issuer=("https://{domain}/",),
        audience="{audience}",
        advice=Advice(
            audience="At Auth0 create an API whose identifier is provider.auth0.audience; when that is {resource} "
            "itself, switch on the Resource Parameter Compatibility Profile, so that clients get tokens for it.",
            registration="At Auth0, under Settings, Advanced, switch on OIDC Dynamic Application Registration, and "
            "promote a connection to domain level.",
            issuer="Check provider.auth0.domain: it is the tenant or custom domain alone; the issuer is that domain "
            "with a slash at the end.",
        ),
    ),
    "keycloak": _Preset(
        issuer=("{url}/realms/{realm}",),
        claims={"roles": ("roles", "realm_access.roles")},
        advice=Advice(
            audience="In Keycloak put an audience mapper that adds {resource} on the client scopes that clients ask "
            "for, else tokens name no audience.",
            registration="In Keycloak, under Clients, Client registration, let the anonymous policies allow the hosts "
            "that clients come from (Trusted Hosts) and the scopes that they ask for (Allowed Client Scopes).",
            issuer="Check provider.keycloak.url and realm; Keycloak must state its public host name as issuer.",
        ),
    ),
    "supabase": _Preset(
        issuer=("{url}/auth/v1", "https://{project_id}.supabase.co/auth/v1"),
        audience="authenticated",
        names_resource=False,
        advice=Advice(
            audience="Supabase names no resource in its tokens: keep the project for this server alone, or set "
            "verification.audiences to what a custom access token hook writes into aud.",
            registration="In the Supabase dashboard, under Authentication, OAuth Server, switch on the server and "
            "dynamic client registration.",
            issuer="Check provider.supabase.projectID or url, and that the project signs with asymmetric keys.",
        ),
    ),
    "betterAuth": _Preset(
        issuer=("{url}",),
        advice=Advice(
            audience="In Better Auth add {resource} to the valid audiences of the OAuth provider plugin, so that "
            "tokens are signed and name it.",
            registration="In Better Auth set allowDynamicClientRegistration and "
            "allowUnauthenticatedClientRegistration of the OAuth provider plugin.",
            issuer="Check provider.betterAuth.url: base URL with base path, as its metadata states the issuer.",
        ),
    ),
    "custom": _Preset(
        issuer=("{issuer}",),
        advice=Advice(
            audience="The identity provider must put {resource} into aud of its access tokens, or "
            "verification.audiences must say what it puts there.",
            registration="The identity provider must offer dynamic client registration (RFC 7591) or client ID "
            "metadata documents, else only clients that were registered by hand can log in.",
            issuer="Check provider.custom.issuer: it must be what the metadata states, byte for byte, with or without "
            "the slash at the end.",
        ),
    ),
}


def issuer_of(spec: PolicySpec) -> Issuer:
    """Give the authorization server of a policy. Raises ValueError unless exactly one provider is named."""
    name, values = _member(spec.provider)
    values["resource"] = spec.resource.url
    preset = _PRESETS[name]
    issuer = next(text for template in preset.issuer if (text := _fill(template, values)) is not None)
    return Issuer(
        provider=name,
        issuer=issuer,
        metadata_urls=_metadata_urls(issuer),
        jwks_uri=values.get("jwks_uri"),
        audiences=(preset.audience.format_map(values),),
        names_resource=preset.names_resource,
        claims=preset.claims,
        advice=Advice(preset.advice.audience.format_map(values), preset.advice.registration, preset.advice.issuer),
    )


def _member(provider: Provider) -> tuple[str, dict[str, Any]]:
    """Give the name of the one member that is there, as users write it, and its fields."""
    members = {f.encode_name: getattr(provider, f.name) for f in msgspec.structs.fields(provider)}
    named = [(name, msgspec.structs.asdict(member)) for name, member in members.items() if member is not None]
    if len(named) != 1:
        raise ValueError(f"spec.provider: must have exactly one of {', '.join(members)}")
    return named[0]


def _fill(template: str, values: Mapping[str, Any]) -> str | None:
    """Fill a template in; None when a field that it names is absent."""
    present = {name: value for name, value in values.items() if value is not None}
    try:
        return template.format_map(present)
    except KeyError:
        return None


def _metadata_urls(issuer: str) -> tuple[str, ...]:
    """Give RFC 8414 inserted, OIDC inserted, OIDC appended (SPEC 19); without a path the latter two are one.

    A slash that ends the issuer is removed before insertion (RFC 8414 section 3.1, OpenID Connect Discovery 4.1).
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    inserted = (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
    )
    return (*inserted, f"{origin}{path}/.well-known/openid-configuration") if path else inserted
