"""Mode Proxy: Postern as the authorization server that clients see, and as one client of the identity provider."""

from typing import Annotated, Literal

from msgspec import Meta, field

from postern_crds.spec.fields import ClientId, Model, Path, RedirectUri
from postern_crds.spec.references import SecretKey

__all__ = ["Proxy", "ProxyClient", "RegisteredClient", "Registration"]

AuthMethod = Literal["client_secret_post", "client_secret_basic", "none"]


class ProxyClient(Model, frozen=True):
    """The one application that is registered at the identity provider, by hand."""

    id: Annotated[ClientId, Meta(description="Its client id there.")]
    secret_ref: Annotated[
        SecretKey | None,
        Meta(
            description="Where its secret is. It may be created or rotated at any time; while it is absent, logins are "
            "answered with 503 and condition ResolvedRefs says so."
        ),
    ] = None
    auth_method: Annotated[
        AuthMethod | None,
        Meta(
            description="How it authenticates at the token endpoint; none: a client without a secret, by PKCE alone. "
            "Absent: what the provider asks for (client_secret_basic for keycloak, okta, betterAuth and custom, "
            "client_secret_post for the others)."
        ),
    ] = None


class Registration(Model, frozen=True):
    """How MCP clients become known to Postern. Nothing is stored: a registration is sealed into the client_id."""

    dynamic: Annotated[bool, Meta(description="Dynamic client registration (RFC 7591).")] = True
    metadata_documents: Annotated[
        bool, Meta(description="Client ID metadata documents: the client_id is an https URL that describes the client.")
    ] = True
    allowed_hosts: Annotated[
        list[Annotated[str, Meta(pattern=r"^(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]],
        Meta(
            description="Hosts that redirect URIs may have, besides loopback; '*.example.com' means every host below. "
            "Empty: any. Private-use schemes such as cursor:// are not limited by it.",
            max_length=32,
        ),
    ] = field(default_factory=list)


class RegisteredClient(Model, frozen=True):
    """A public client that is known from the start and need not register."""

    id: Annotated[
        ClientId, Meta(description="Its client_id at Postern: any text but a URL, which would be a document's.")
    ]
    redirect_uris: Annotated[
        list[RedirectUri],
        Meta(
            description="Its exact redirect URIs; on loopback any port is meant (RFC 8252 section 7.3).",
            min_length=1,
            max_length=8,
        ),
    ] = field(name="redirectURIs")
    name: Annotated[str, Meta(description="Shown on the consent page. Empty: the id.", max_length=128)] = ""


class Proxy(Model, frozen=True):
    """The facade: what clients may do, and as whom Postern asks the identity provider."""

    client: Annotated[ProxyClient, Meta(description="The application that is registered at the identity provider.")]
    callback_path: Annotated[
        Path,
        Meta(
            description="Path of the callback below origin and prefix of resource.url. The whole URL, as "
            "status.callbackURL tells it, is to be entered at the identity provider."
        ),
    ] = "/oauth/callback"
    redirect_uris: Annotated[
        list[RedirectUri],
        Meta(
            description="Exact redirect URIs that any client may register, whatever registration.allowedHosts says.",
            max_length=16,
        ),
    ] = field(name="redirectURIs", default_factory=list)
    registration: Annotated[Registration, Meta(description="How MCP clients become known to Postern.")] = field(
        default_factory=Registration
    )
    clients: Annotated[
        list[RegisteredClient], Meta(description="Public clients that are known from the start.", max_length=16)
    ] = field(default_factory=list)
    extra_authorize_params: Annotated[
        dict[str, Annotated[str, Meta(max_length=512)]],
        Meta(
            description="Further parameters of the authorization request to the identity provider, such as prompt or "
            "domain_hint; they win over those of the provider's preset. Those of the protocol are refused.",
            max_length=16,
        ),
    ] = field(default_factory=dict)
    grant_types: Annotated[
        list[Literal["authorization_code", "refresh_token"]],
        Meta(description="Without refresh_token users log in anew when a token ends.", min_length=1, max_length=2),
    ] = field(default_factory=lambda: ["authorization_code", "refresh_token"])
    token_mode: Annotated[
        Literal["Sealed", "Passthrough"],
        Meta(
            description="What clients hold. Sealed: tokens of Postern's own, only good for this resource. Passthrough: "
            "the identity provider's access tokens as they are."
        ),
    ] = "Sealed"  # noqa: S105 - a mode
    access_token_ttl: Annotated[
        str,
        Meta(
            description="Longest life of a sealed access token, from 60s to 24h; never beyond that of the identity "
            "provider's token inside.",
            pattern=r"^([0-9]{1,5}[hms]){1,3}$",
            max_length=16,
        ),
    ] = field(name="accessTokenTTL", default="1h")
    consent: Annotated[
        Literal["Always", "Remember"],
        Meta(
            description="Always: the user is asked at each login. Remember: not again for the same client, redirect URI "
            "and scopes in the same browser within 30 days."
        ),
    ] = "Always"
