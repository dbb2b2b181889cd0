"""The provider table: issuer, places of the metadata, audiences and claims of each preset."""

from typing import Any

import msgspec
import pytest

from postern_crds.v1alpha1 import PolicySpec, Provider
from postern_operator.policy.providers import Issuer, issuer_of

RESOURCE = "https://mcp.example.com/mcp"


def _issuer(provider: dict[str, Any]) -> Issuer:
    spec = {"resource": {"url": RESOURCE}, "mode": "Direct", "provider": provider}
    return issuer_of(msgspec.convert(spec, PolicySpec))


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


def test_every_provider_of_the_resource_has_a_row() -> None:
    rows = {next(iter(case.values[0])) for case in TABLE}  # type: ignore[call-overload]  # values are typed as object

    assert rows == {field.encode_name for field in msgspec.structs.fields(Provider)}


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
    assert all(text.endswith(".") for text in (advice.audience, advice.registration, advice.issuer))


@pytest.mark.parametrize("provider", [{}, {"workos": {"domain": "a.b"}, "custom": {"issuer": "https://c"}}])
def test_none_or_two_providers_are_an_error(provider: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"spec\.provider: must have exactly one"):
        _issuer(provider)
