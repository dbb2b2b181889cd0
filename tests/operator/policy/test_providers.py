"""The provider table: issuer, places of the metadata, audiences and claims of each preset."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from postern_crds.v1alpha1 import PolicySpec, Provider
from postern_operator.policy.providers import Issuer, issuer_of

RESOURCE = "https://mcp.example.com/mcp"


TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


def _issuer(provider: dict[str, Any]) -> Issuer:
    spec = {"resource": {"url": RESOURCE}, "mode": "Direct", "provider": provider}
    return issuer_of(msgspec.convert(spec, PolicySpec))


def _proxied(provider: dict[str, Any], **spec: Any) -> Issuer:
    client = {"id": "our-client", "secretRef": {"name": "client"}}
    whole = {"resource": {"url": RESOURCE}, "mode": "Proxy", "provider": provider, "proxy": {"client": client}, **spec}
    return issuer_of(msgspec.convert(whole, PolicySpec))


TABLE = [
    pytest.param({"workos": {"domain": "acme.authkit.app"}}, "https://acme.authkit.app", (RESOURCE,), id="workos"),
    pytest.param(
        {"auth0": {"domain": "acme.eu.auth0.com", "audience": "urn:weather"}},
        "https://acme.eu.auth0.com/",
        ("urn:weather",),
        id="auth0",
    ),
    pytest.param(
        {"keycloak": {"url": "https://sso.example.com/auth", "realm": "corp"}},
        "https://sso.example.com/auth/realms/corp",
        (RESOURCE,),
        id="keycloak",
    ),
    pytest.param(
        {"okta": {"domain": "acme.okta.com", "authorizationServer": "aus1", "audience": "urn:weather"}},
        "https://acme.okta.com/oauth2/aus1",
        ("urn:weather",),
        id="okta",
    ),
    pytest.param(
        {"entra": {"tenantID": TENANT, "applicationIDURI": "api://weather"}},
        f"https://login.microsoftonline.com/{TENANT}/v2.0",
        ("api://weather",),
        id="entra",
    ),
    pytest.param(
        {"supabase": {"projectID": "abcd"}}, "https://abcd.supabase.co/auth/v1", ("authenticated",), id="supabase"
    ),
    pytest.param(
        {"supabase": {"url": "https://supabase.example.com"}},
        "https://supabase.example.com/auth/v1",
        ("authenticated",),
        id="self-hosted supabase",
    ),
    pytest.param(
        {"betterAuth": {"url": "https://app.example.com/api/auth"}},
        "https://app.example.com/api/auth",
        (RESOURCE,),
        id="better auth",
    ),
    pytest.param(
        {"custom": {"issuer": "https://idp.example.com/"}}, "https://idp.example.com/", (RESOURCE,), id="custom"
    ),
]


@pytest.mark.parametrize(("provider", "issuer", "audiences"), TABLE)
def test_preset_names_issuer_and_audience_byte_for_byte(
    provider: dict[str, Any], issuer: str, audiences: tuple[str, ...]
) -> None:
    found = _issuer(provider)

    assert (found.provider, found.issuer, found.audiences) == (next(iter(provider)), issuer, audiences)
    assert found.jwks_uri is None


PROXY_TABLE = [
    pytest.param({"workos": {"domain": "acme.authkit.app"}}, "https://acme.authkit.app", (RESOURCE,), id="workos"),
    pytest.param(
        {"auth0": {"domain": "acme.eu.auth0.com", "audience": "urn:weather"}},
        "https://acme.eu.auth0.com/",
        ("urn:weather",),
        id="auth0",
    ),
    pytest.param({"google": {}}, "https://accounts.google.com", ("our-client",), id="google"),
    pytest.param({"github": {}}, "https://github.com/login/oauth", ("our-client",), id="github"),
    pytest.param(
        {"github": {"enterpriseURL": "https://github.example.com"}},
        "https://github.example.com/login/oauth",
        ("our-client",),
        id="github enterprise",
    ),
    pytest.param(
        {"okta": {"domain": "acme.okta.com"}}, "https://acme.okta.com/oauth2/default", ("api://default",), id="okta"
    ),
    pytest.param(
        {"entra": {"tenantID": TENANT}},
        f"https://login.microsoftonline.com/{TENANT}/v2.0",
        ("our-client", "api://our-client"),
        id="entra",
    ),
    pytest.param(
        {"entra": {"tenantID": TENANT, "applicationIDURI": "https://example.com/weather"}},
        f"https://login.microsoftonline.com/{TENANT}/v2.0",
        ("our-client", "api://our-client", "https://example.com/weather"),
        id="entra with an identifier",
    ),
    pytest.param(
        {"keycloak": {"url": "https://sso.example.com", "realm": "corp"}},
        "https://sso.example.com/realms/corp",
        (RESOURCE,),
        id="keycloak",
    ),
    pytest.param(
        {"betterAuth": {"url": "https://app.example.com/api/auth"}},
        "https://app.example.com/api/auth",
        (RESOURCE,),
        id="better auth",
    ),
    pytest.param(
        {"custom": {"issuer": "https://idp.example.com/"}}, "https://idp.example.com/", (RESOURCE,), id="custom"
    ),
]


@pytest.mark.parametrize(("provider", "issuer", "audiences"), PROXY_TABLE)
def test_preset_of_mode_proxy_names_issuer_audience_and_what_to_register(
    provider: dict[str, Any], issuer: str, audiences: tuple[str, ...]
) -> None:
    found = _proxied(provider)

    assert (found.provider, found.issuer, found.audiences) == (next(iter(provider)), issuer, audiences)
    assert "https://mcp.example.com/oauth/callback" in found.advice.client
    assert found.advice.client.endswith(".")
    assert "{" not in found.advice.client + found.advice.audience


def _rows(table: list[Any]) -> set[str]:
    return {next(iter(case.values[0])) for case in table}


def test_every_provider_of_the_resource_has_a_row() -> None:
    names = {field.encode_name for field in msgspec.structs.fields(Provider)}

    assert _rows(TABLE) == names - {"google", "github"}
    assert _rows(PROXY_TABLE) == names - {"supabase"}


@pytest.mark.parametrize("provider", [{"google": {}}, {"github": {}}])
def test_provider_without_mode_direct_is_an_error_there(provider: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no mode Direct"):
        _issuer(provider)


def test_supabase_is_an_error_in_mode_proxy() -> None:
    with pytest.raises(ValueError, match="supabase has no mode Proxy"):
        _proxied({"supabase": {"projectID": "abcd"}})


@pytest.mark.parametrize(
    ("authority", "other_issuers"),
    [
        ("login.microsoftonline.com", (f"https://sts.windows.net/{TENANT}/",)),
        ("login.microsoftonline.us", (f"https://sts.windows.net/{TENANT}/",)),
        ("login.partner.microsoftonline.cn", (f"https://sts.chinacloudapi.cn/{TENANT}/",)),
        (f"{TENANT}.ciamlogin.com", ()),
    ],
)
def test_entra_accepts_the_v1_issuer_of_the_same_tenant_and_cloud_alone(
    authority: str, other_issuers: tuple[str, ...]
) -> None:
    found = _proxied({"entra": {"tenantID": TENANT, "authority": authority}})

    assert found.other_issuers == other_issuers
    assert found.metadata_urls == (f"https://{authority}/{TENANT}/v2.0/.well-known/openid-configuration",)


@pytest.mark.parametrize(
    ("enterprise", "api"),
    [
        ({}, "https://api.github.com"),
        ({"enterpriseURL": "https://github.example.com"}, "https://github.example.com/api/v3"),
        ({"enterpriseURL": "https://acme.ghe.com"}, "https://api.acme.ghe.com"),
        ({"enterpriseURL": "https://evil-ghe.com"}, "https://evil-ghe.com/api/v3"),
    ],
)
def test_github_is_asked_where_its_api_is(enterprise: dict[str, str], api: str) -> None:
    found = _proxied({"github": enterprise})

    assert found.proxy is not None
    assert found.proxy.remote_url == f"{api}/applications/{{client_id}}/token"
    assert found.proxy.userinfo_url == f"{api}/user"
    assert found.metadata_urls == ()


_PLACES = {name: f"https://idp.example.com/{name}" for name in ("authorizationEndpoint", "tokenEndpoint", "jwksURI")}


@pytest.mark.parametrize(
    ("places", "verification", "is_read"),
    [
        pytest.param(_PLACES, {}, False, id="complete"),
        pytest.param({**_PLACES, "jwksURI": None}, {}, True, id="keys missing"),
        pytest.param(_PLACES, {"kind": "Introspection"}, True, id="nowhere to introspect"),
        pytest.param(
            {**_PLACES, "introspectionEndpoint": "https://idp.example.com/i"},
            {"kind": "Introspection"},
            False,
            id="complete with introspection",
        ),
        pytest.param(_PLACES, {"kind": "Userinfo"}, True, id="nowhere to ask for the user"),
    ],
)
def test_metadata_of_a_custom_issuer_is_read_unless_all_is_named(
    places: Mapping[str, Any], verification: Mapping[str, Any], is_read: bool
) -> None:
    found = _proxied({"custom": {"issuer": "https://idp.example.com", **places}}, verification=verification)

    assert bool(found.metadata_urls) == is_read


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        pytest.param(
            "https://idp.example.com",
            [
                "https://idp.example.com/.well-known/oauth-authorization-server",
                "https://idp.example.com/.well-known/openid-configuration",
            ],
            id="no path",
        ),
        pytest.param(
            "https://idp.example.com/",
            [
                "https://idp.example.com/.well-known/oauth-authorization-server",
                "https://idp.example.com/.well-known/openid-configuration",
            ],
            id="slash",
        ),
        pytest.param(
            "https://idp.example.com:8443/tenant1",
            [
                "https://idp.example.com:8443/.well-known/oauth-authorization-server/tenant1",
                "https://idp.example.com:8443/.well-known/openid-configuration/tenant1",
                "https://idp.example.com:8443/tenant1/.well-known/openid-configuration",
            ],
            id="path",
        ),
        pytest.param(
            "http://localhost:9000/a/b/",
            [
                "http://localhost:9000/.well-known/oauth-authorization-server/a/b",
                "http://localhost:9000/.well-known/openid-configuration/a/b",
                "http://localhost:9000/a/b/.well-known/openid-configuration",
            ],
            id="path with slash",
        ),
    ],
)
def test_metadata_is_looked_for_in_the_order_of_the_specification(issuer: str, urls: list[str]) -> None:
    assert list(_issuer({"custom": {"issuer": issuer}}).metadata_urls) == urls


def test_key_location_of_a_custom_issuer_is_kept() -> None:
    custom = {"issuer": "https://idp.example.com", "jwksURI": "https://keys.example.com/jwks"}

    assert _issuer({"custom": custom}).jwks_uri == "https://keys.example.com/jwks"


def test_only_supabase_names_no_resource() -> None:
    unbound = {found.provider for case in TABLE if not (found := _issuer(case.values[0])).names_resource}  # type: ignore[arg-type]  # as above

    assert unbound == {"supabase"}


@pytest.mark.parametrize("provider", [case.values[0] for case in TABLE])
def test_advice_is_filled_in(provider: dict[str, Any]) -> None:
    advice = _issuer(provider).advice

    assert "{" not in advice.audience + advice.registration + advice.issuer
    assert advice.client == ""
    assert all(text.endswith(".") for text in (advice.audience, advice.registration, advice.issuer))


@pytest.mark.parametrize("provider", [{}, {"workos": {"domain": "a.b"}, "custom": {"issuer": "https://c"}}])
def test_none_or_two_providers_are_an_error(provider: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"spec\.provider: must have exactly one"):
        _issuer(provider)
