"""A realm of the tests, as Keycloak imports it.

Users as at the other identity provider: ``alice`` / ``alice-pw`` (role admin), ``bob`` / ``bob-pw``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.identity.provider import KnownClient

INTROSPECTION_CLIENT = KnownClient(id="introspection", secret="introspection-secret", redirect_uris=())
RESOURCE_SCOPES = ("weather:read", "weather:write")
_EVERYWHERE = {
    "access.token.claim": "true",
    "id.token.claim": "true",
    "introspection.token.claim": "true",
    "userinfo.token.claim": "true",
}
_IN_ACCESS = {"access.token.claim": "true", "introspection.token.claim": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmOptions:
    """What can be chosen about it."""

    name: str
    resource: str
    """What its access tokens name in aud."""
    clients: tuple[KnownClient, ...] = ()
    registration_hosts: tuple[str, ...] = ()
    """Hosts whose redirect URIs clients may register for themselves. Empty: nobody may register."""
    access_token_seconds: int = 300


def realm(options: RealmOptions) -> dict[str, Any]:
    """The document."""
    return {
        "realm": options.name,
        "enabled": True,
        "sslRequired": "none",
        "accessTokenLifespan": options.access_token_seconds,
        "roles": {"realm": [{"name": "admin"}, {"name": "offline_access"}]},
        "users": [_user("alice", "Alice", ["admin", "offline_access"]), _user("bob", "Bob", ["offline_access"])],
        # Whoever defines any must define the built-in ones too.
        "clientScopes": _scopes(options.resource),
        "defaultDefaultClientScopes": ["basic", "profile", "email", "roles"],
        "defaultOptionalClientScopes": [*RESOURCE_SCOPES, "offline_access"],
        "clients": [*map(_client, options.clients), _introspection_client()],
        "components": {"org.keycloak.services.clientregistration.policy.ClientRegistrationPolicy": _policies(options)},
    }


def _user(name: str, first_name: str, roles: list[str]) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "email": f"{name}@example.com",
        "emailVerified": True,
        "firstName": first_name,
        "lastName": "Test",
        "realmRoles": roles,
        "credentials": [{"type": "password", "value": f"{name}-pw", "temporary": False}],
    }


def _client(client: KnownClient) -> dict[str, Any]:
    return {
        "clientId": client.id,
        "secret": client.secret,
        "publicClient": False,
        "redirectUris": list(client.redirect_uris),
        "standardFlowEnabled": True,
        "directAccessGrantsEnabled": False,
        "attributes": {"pkce.code.challenge.method": "S256"},
    }


def _introspection_client() -> dict[str, Any]:
    # Keycloak calls every token inactive whose audience the asking client is not, unless told otherwise.
    attributes = {"allow.token.introspection.without.audience.check": "true"}
    return {**_client(INTROSPECTION_CLIENT), "standardFlowEnabled": False, "attributes": attributes}


def _scopes(resource: str) -> list[dict[str, Any]]:
    # On the scopes that are asked for: a client's registration with a scope replaces the realm's default ones.
    audience = _mapper("audience", "oidc-audience-mapper", {**_IN_ACCESS, "included.custom.audience": resource})
    return [
        _scope("basic", [_mapper("sub", "oidc-sub-mapper", _IN_ACCESS)], is_shown=False),
        _scope("profile", [_mapper("full name", "oidc-full-name-mapper", _EVERYWHERE), _claim("username")]),
        _scope("email", [_claim("email")]),
        _scope("roles", [_mapper("realm roles", "oidc-usermodel-realm-role-mapper", _ROLES)], is_shown=False),
        *(_scope(name, [audience]) for name in RESOURCE_SCOPES),
        _scope("offline_access", []),
    ]


_ROLES = {
    **_EVERYWHERE,
    "claim.name": "realm_access.roles",
    "jsonType.label": "String",
    "multivalued": "true",
}


def _scope(name: str, mappers: Iterable[Mapping[str, Any]], *, is_shown: bool = True) -> dict[str, Any]:
    shown = str(is_shown).lower()
    return {
        "name": name,
        "protocol": "openid-connect",
        "attributes": {"include.in.token.scope": shown, "display.on.consent.screen": shown},
        "protocolMappers": list(mappers),
    }


def _claim(attribute: str) -> dict[str, Any]:
    name = "preferred_username" if attribute == "username" else attribute
    config = {**_EVERYWHERE, "user.attribute": attribute, "claim.name": name, "jsonType.label": "String"}
    return _mapper(name, "oidc-usermodel-attribute-mapper", config)


def _mapper(name: str, kind: str, config: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": dict(config)}


def _policies(options: RealmOptions) -> list[dict[str, Any]]:
    """Who may register: whoever redirects to the hosts. As an administrator sets it up by the advice of the policy."""
    scopes = ["openid", "profile", "email", "offline_access", *RESOURCE_SCOPES]
    hosts = {
        "host-sending-registration-request-must-match": ["true" if not options.registration_hosts else "false"],
        "client-uris-must-match": ["true"],
        "trusted-hosts": list(options.registration_hosts),
    }
    return [
        _policy("trusted-hosts", hosts),
        _policy("allowed-client-templates", {"allow-default-scopes": ["true"], "allowed-client-scopes": scopes}),
        _policy("consent-required", {}),
    ]


def _policy(kind: str, config: Mapping[str, list[str]]) -> dict[str, Any]:
    return {"name": kind, "providerId": kind, "subType": "anonymous", "subComponents": {}, "config": dict(config)}
