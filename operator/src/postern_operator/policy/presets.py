"""What each identity provider needs from us and from its owner: this module is that one table.

A row is data; nothing else in the operator knows a provider by name.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from postern_operator.policy.preset import Advice, MetadataForm, Preset, ProxyPreset, Remote, Values

__all__ = ["PRESETS"]

_OIDC_DISCOVERY: tuple[MetadataForm, ...] = ("oidc-appended",)
_V1_ISSUERS = {
    "login.microsoftonline.com": "sts.windows.net",
    "login.microsoftonline.us": "sts.windows.net",
    "login.partner.microsoftonline.cn": "sts.chinacloudapi.cn",
    "login.chinacloudapi.cn": "sts.chinacloudapi.cn",
}
"""By the authority of Entra's cloud: the host that its access tokens of version 1 name as issuer."""


def _entra_hosts(values: Values) -> Values:
    return {"sts": _V1_ISSUERS.get(values["authority"])}


def _github_hosts(values: Values) -> Values:
    """Give the places of website and API: github.com, an enterprise at ghe.com, or a GitHub Enterprise Server."""
    web = values.get("enterprise_url")
    if web is None:
        return {"web": "https://github.com", "api": "https://api.github.com"}
    host = urlsplit(web).netloc
    return {"web": web, "api": f"https://api.{host}" if host.endswith(".ghe.com") else f"{web}/api/v3"}


_WORKOS = Preset(
    issuer=("https://{domain}",),
    # Of its two documents the first says nothing of userinfo, which is asked where the policy says so.
    endpoints={"userinfo": "https://{domain}/oauth2/userinfo"},
    advice=Advice(
        audience="In the WorkOS dashboard add {resource} as a resource indicator, else tokens name no audience.",
        registration="In the WorkOS dashboard, under Connect, Configuration, switch on dynamic client registration or "
        "client ID metadata documents.",
        issuer="Check provider.workos.domain: it is the AuthKit domain, such as acme.authkit.app.",
        client="In the WorkOS dashboard, under Connect, create an OAuth application with the redirect URI {callback}; "
        "put its client ID into proxy.client.id and a client secret into the Secret.",
    ),
    proxy=ProxyPreset(
        # Access tokens of Connect name the environment in aud, the same for all its applications.
        names_client=True,
        audience_advice="Access tokens of WorkOS Connect are accepted when they were issued to proxy.client.",
    ),
)

_AUTH0 = Preset(
    # Auth0 states its issuer with the slash; without it clients refuse the metadata (RFC 8414 section 3.3).
    issuer=("https://{domain}/",),
    audiences=("{audience}",),
    advice=Advice(
        audience="At Auth0 create an API whose identifier is provider.auth0.audience; when that is {resource} itself, "
        "switch on the Resource Parameter Compatibility Profile, so that clients get tokens for it.",
        registration="At Auth0, under Settings, Advanced, switch on OIDC Dynamic Application Registration, and "
        "promote a connection to domain level.",
        issuer="Check provider.auth0.domain: it is the tenant or custom domain alone; the issuer is that domain with "
        "a slash at the end.",
        client="At Auth0 create a Regular Web Application with the allowed callback URL {callback}, and let it use "
        "the API; for refresh tokens switch on Allow Offline Access of the API.",
    ),
    proxy=ProxyPreset(
        audience_advice="At Auth0 create an API whose identifier is provider.auth0.audience, else tokens are opaque.",
        # Without it Auth0 gives an opaque token.
        authorize_params={"audience": "{audience}"},
    ),
)

_GOOGLE = Preset(
    issuer=("https://accounts.google.com",),
    other_issuers=("accounts.google.com",),
    metadata=_OIDC_DISCOVERY,
    claims={"organization_id": ("organization_id", "org_id", "hd")},
    advice=Advice(
        audience="Access tokens of Google are accepted when Google says that they were issued to proxy.client.",
        registration="Google lets no client register by itself: mode: Proxy does it in its place.",
        issuer="Check that the pods reach accounts.google.com and oauth2.googleapis.com.",
        client="In the Google Cloud console, under Google Auth Platform, Clients, create a client of type Web "
        "application with the authorized redirect URI {callback}; put its client ID into proxy.client.id and the "
        "client secret into the Secret.",
    ),
    direct=False,
    proxy=ProxyPreset(
        audiences=("{client_id}",),
        remote=Remote("Tokeninfo", "https://oauth2.googleapis.com/tokeninfo"),
        offline_scope="",
        # A refresh token comes with offline access, and after the first login only with renewed consent.
        offline_params={"access_type": "offline", "prompt": "consent"},
    ),
)

_GITHUB = Preset(
    issuer=("{web}/login/oauth",),
    metadata=(),
    endpoints={"authorization": "{web}/login/oauth/authorize", "token": "{web}/login/oauth/access_token"},
    derive=_github_hosts,
    # The number never changes and is never given away again; the login is.
    claims={"user_id": ("sub", "id"), "username": ("login",), "picture": ("avatar_url",)},
    advice=Advice(
        audience="Access tokens of GitHub are accepted when GitHub says that they are of the application proxy.client.",
        registration="GitHub lets no client register by itself: mode: Proxy does it in its place.",
        issuer="Check provider.github.enterpriseURL, and that the pods reach GitHub and its API.",
        client="At GitHub, under Settings, Developer settings, create an OAuth app, or a GitHub App whose user tokens "
        "expire (an OAuth app has no refresh tokens and a GitHub App no scopes), with the callback URL {callback}; "
        "put its client ID into proxy.client.id and a client secret into the Secret.",
    ),
    direct=False,
    proxy=ProxyPreset(
        audiences=("{client_id}",),
        remote=Remote("AppToken", "{api}/applications/{{client_id}}/token"),
        openid="never",
        scopes=("read:user",),
        offline_scope="",
        userinfo=True,
        userinfo_url="{api}/user",
    ),
)

_OKTA = Preset(
    issuer=("https://{domain}/oauth2/{authorization_server}",),
    metadata=_OIDC_DISCOVERY,
    audiences=("{audience}",),
    # sub of an access token is the login, which may change; uid is the user's id.
    claims={"user_id": ("uid", "sub"), "roles": ("roles", "groups")},
    advice=Advice(
        audience="At Okta, under Security, API, the authorization server must have the audience of "
        "provider.okta.audience.",
        registration="Okta lets no client register by itself: register clients by hand and give their ids to users, "
        "or set mode: Proxy.",
        issuer="Check provider.okta.domain and authorizationServer: it is the id of a custom authorization server, as "
        "under Security, API; tokens of the org's own server can be verified by Okta alone.",
        client="At Okta create an app integration of type OIDC, Web Application, with the sign-in redirect URI "
        "{callback} and the grant types Authorization Code and Refresh Token, assign it to users, and let an access "
        "policy of the authorization server allow it.",
    ),
    # ID tokens that come with an access token are thin: profile and groups are in userinfo.
    proxy=ProxyPreset(auth_method="client_secret_basic", userinfo=True),
)

_ENTRA = Preset(
    issuer=("https://{authority}/{tenant_id}/v2.0",),
    other_issuers=("https://{sts}/{tenant_id}/",),
    metadata=_OIDC_DISCOVERY,
    audiences=("{client_id}", "api://{client_id}", "{application_id_uri}"),
    derive=_entra_hosts,
    # sub differs from application to application; oid is the user's id in the tenant.
    claims={
        "user_id": ("oid", "sub"),
        "username": ("preferred_username", "upn", "unique_name"),
        "organization_id": ("tid",),
    },
    advice=Advice(
        audience="Under Expose an API of the app registration set the Application ID URI; tokens name it, or the "
        "client id, in aud.",
        registration="Entra lets no client register by itself: register clients by hand and give their ids to users, "
        "or set mode: Proxy.",
        issuer="Check provider.entra.tenantID and authority.",
        client="In the Microsoft Entra admin center create an app registration with the redirect URI {callback} of "
        "type Web, a client secret, and under Expose an API an Application ID URI and the scopes of this policy; put "
        "the Application (client) ID into proxy.client.id and the value of the secret, not its id, into the Secret.",
    ),
    proxy=ProxyPreset(
        scope_prefix=("{application_id_uri}/", "api://{client_id}/"),
        # An application that asks for a token for itself must name itself by its id (AADSTS90009).
        own_api_scope=("{application_id_uri}/.default", "{client_id}/.default"),
        # The token endpoint issues for the first resource of scope; without it a refresh fails.
        exchange_scope=True,
    ),
)

_KEYCLOAK = Preset(
    issuer=("{url}/realms/{realm}",),
    claims={"roles": ("roles", "realm_access.roles")},
    advice=Advice(
        audience="In Keycloak put an audience mapper that adds {resource} on the client scopes that clients ask for, "
        "else tokens name no audience.",
        registration="In Keycloak, under Clients, Client registration, let the anonymous policies allow the hosts "
        "that clients come from (Trusted Hosts) and the scopes that they ask for (Allowed Client Scopes).",
        issuer="Check provider.keycloak.url and realm; Keycloak must state its public host name as issuer.",
        client="In Keycloak create a client of type OpenID Connect with client authentication and the standard flow, "
        "the valid redirect URI {callback}, and an audience mapper that adds {resource}; put its client ID into "
        "proxy.client.id and the secret of its credentials into the Secret.",
    ),
    proxy=ProxyPreset(auth_method="client_secret_basic"),
)

_SUPABASE = Preset(
    issuer=("{url}/auth/v1", "https://{project_id}.supabase.co/auth/v1"),
    audiences=("authenticated",),
    names_resource=False,
    advice=Advice(
        audience="Supabase names no resource in its tokens: keep the project for this server alone, or set "
        "verification.audiences to what a custom access token hook writes into aud.",
        registration="In the Supabase dashboard, under Authentication, OAuth Server, switch on the server and dynamic "
        "client registration.",
        issuer="Check provider.supabase.projectID or url, and that the project signs with asymmetric keys.",
    ),
)

_BETTER_AUTH = Preset(
    issuer=("{url}",),
    advice=Advice(
        audience="In Better Auth add {resource} to the valid audiences of the OAuth provider plugin, so that tokens "
        "are signed and name it.",
        registration="In Better Auth set allowDynamicClientRegistration and allowUnauthenticatedClientRegistration of "
        "the OAuth provider plugin.",
        issuer="Check provider.betterAuth.url: base URL with base path, as its metadata states the issuer.",
        client="In Better Auth create a confidential OAuth client with the redirect URI {callback} that may ask for "
        "{resource}; put its client_id into proxy.client.id and its client_secret into the Secret.",
    ),
    # Only a request that names a resource gets a JWT.
    proxy=ProxyPreset(auth_method="client_secret_basic", sends_resource=True),
)

_CUSTOM = Preset(
    issuer=("{issuer}",),
    endpoints={
        "authorization": "{authorization_endpoint}",
        "token": "{token_endpoint}",
        "userinfo": "{userinfo_endpoint}",
        "introspection": "{introspection_endpoint}",
        "revocation": "{revocation_endpoint}",
    },
    complete_with=("authorization_endpoint", "token_endpoint", "jwks_uri"),
    advice=Advice(
        audience="The identity provider must put {resource} into aud of its access tokens, or verification.audiences "
        "must say what it puts there.",
        registration="The identity provider must offer dynamic client registration (RFC 7591) or client ID metadata "
        "documents, else only clients that were registered by hand can log in.",
        issuer="Check provider.custom.issuer: it must be what the metadata states, byte for byte, with or without the "
        "slash at the end.",
        client="At the identity provider register a confidential client for the authorization code grant with the "
        "redirect URI {callback}; put its id into proxy.client.id and its secret into the Secret.",
    ),
    proxy=ProxyPreset(auth_method="client_secret_basic", openid="asked"),
)

PRESETS: Mapping[str, Preset] = {
    "workos": _WORKOS,
    "auth0": _AUTH0,
    "google": _GOOGLE,
    "github": _GITHUB,
    "okta": _OKTA,
    "entra": _ENTRA,
    "keycloak": _KEYCLOAK,
    "supabase": _SUPABASE,
    "betterAuth": _BETTER_AUTH,
    "custom": _CUSTOM,
}
