from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.support.identity.browser import LoginRefused, ScriptedBrowser
from tests.support.identity.conftest import RESOURCE
from tests.support.identity.network import Network
from tests.support.identity.provider import IdentityProvider, ProviderOptions, running_provider
from tests.support.identity.tokens import TokenRefused, obtain_token, obtain_tokens, refresh

SCOPE = "openid email weather:read offline_access"


async def keys_of(provider: IdentityProvider) -> KeySet:
    async with Network().client() as http:
        return KeySet.import_key_set((await http.get(f"{provider.issuer}/jwks")).json())


async def verified(provider: IdentityProvider, token: str) -> jwt.Token:
    return jwt.decode(token, await keys_of(provider), algorithms=["RS256"])


async def test_login_gives_a_signed_token_for_the_resource_alone(provider: IdentityProvider) -> None:
    token = await obtain_token(provider.issuer, RESOURCE, scope=SCOPE, browser=ScriptedBrowser())

    read = await verified(provider, token)
    assert read.header["typ"] == "at+jwt"
    assert read.claims["aud"] == RESOURCE
    assert read.claims["iss"] == provider.issuer
    assert read.claims["scope"] == "weather:read"


@pytest.mark.parametrize(
    ("username", "name", "roles"),
    [pytest.param("alice", "Alice Łukasz", ["admin"], id="alice"), pytest.param("bob", "Bob", [], id="bob")],
)
async def test_token_says_who_the_user_is(
    provider: IdentityProvider, username: str, name: str, roles: list[str]
) -> None:
    browser = ScriptedBrowser(username=username, password=f"{username}-pw")

    token = await obtain_token(provider.issuer, RESOURCE, scope=SCOPE, browser=browser)

    claims: dict[str, Any] = (await verified(provider, token)).claims
    assert claims["sub"] == claims["preferred_username"] == username
    assert claims["email"] == f"{username}@example.com"
    assert claims["name"] == name
    assert claims["roles"] == roles
    assert claims["org_id"] == "org-north"


@pytest.mark.parametrize(
    ("username", "password"),
    [
        pytest.param("alice", "bob-pw", id="password of another"),
        pytest.param("alice", "", id="no password"),
        pytest.param("mallory", "", id="unknown user"),
    ],
)
async def test_wrong_password_is_refused(provider: IdentityProvider, username: str, password: str) -> None:
    browser = ScriptedBrowser(username=username, password=password)

    with pytest.raises(LoginRefused):
        await obtain_token(provider.issuer, RESOURCE, scope=SCOPE, browser=browser)


async def test_denied_consent_gives_no_token(provider: IdentityProvider) -> None:
    with pytest.raises(TokenRefused, match="access_denied"):
        await obtain_token(provider.issuer, RESOURCE, scope=SCOPE, browser=ScriptedBrowser(allows=False))


async def test_unknown_resource_is_refused(provider: IdentityProvider) -> None:
    with pytest.raises(TokenRefused, match="invalid_target"):
        await obtain_token(provider.issuer, f"{RESOURCE}/", scope=SCOPE, browser=ScriptedBrowser())


async def test_nobody_registers_where_registration_is_off() -> None:
    with running_provider(ProviderOptions(resources=(RESOURCE,), registration=False)) as provider:
        async with Network().client() as http:
            metadata = (await http.get(f"{provider.issuer}/.well-known/openid-configuration")).json()
            answer = await http.post(
                f"{provider.issuer}/reg", json={"redirect_uris": ["http://127.0.0.1:3031/callback"]}
            )

    assert "registration_endpoint" not in metadata
    assert answer.status_code == 404


@pytest.mark.parametrize("rotation", [True, False])
async def test_refresh_token_is_good_again_only_without_rotation(rotation: bool) -> None:
    options = ProviderOptions(resources=(RESOURCE,), opaque=True, rotation=rotation)
    with running_provider(options) as provider:
        tokens = await obtain_tokens(provider.issuer, RESOURCE, scope=SCOPE, browser=ScriptedBrowser())
        assert "." not in tokens.access_token
        again = await refresh(tokens)
        assert (again.refresh_token != tokens.refresh_token) is rotation
        if rotation:
            with pytest.raises(TokenRefused, match="invalid_grant"):
                await refresh(tokens)
        else:
            assert (await refresh(tokens)).access_token != again.access_token


async def test_key_lives_through_one_rotation_and_not_through_two() -> None:
    with running_provider(ProviderOptions(resources=(RESOURCE,))) as provider:
        old = await keys_of(provider)
        provider.rotate_keys()
        token = await obtain_token(provider.issuer, RESOURCE, scope=SCOPE, browser=ScriptedBrowser())
        rotated = await keys_of(provider)
        provider.rotate_keys()
        gone = await keys_of(provider)

    names = [[key.kid for key in keys.keys] for keys in (old, rotated, gone)]
    assert names == [["key-1"], ["key-2", "key-1"], ["key-3", "key-2"]]
    assert jwt.decode(token, rotated, algorithms=["RS256"]).header["kid"] == "key-2"


async def test_issuer_with_a_path_is_found_in_all_three_places() -> None:
    options = ProviderOptions(resources=(RESOURCE,), port=0)
    with running_provider(options) as plain:
        origin = plain.issuer
    with running_provider(
        ProviderOptions(resources=(RESOURCE,), port=plain.port, issuer=f"{origin}/team/a")
    ) as provider:
        async with Network().client() as http:
            documents = [
                (await http.get(f"{origin}{path}")).raise_for_status().json()
                for path in (
                    "/.well-known/oauth-authorization-server/team/a",
                    "/.well-known/openid-configuration/team/a",
                    "/team/a/.well-known/openid-configuration",
                )
            ]
            elsewhere = await http.get(f"{origin}/.well-known/openid-configuration")
        token = await obtain_token(provider.issuer, RESOURCE, scope=SCOPE, browser=ScriptedBrowser())

    assert {document["issuer"] for document in documents} == {f"{origin}/team/a"}
    assert elsewhere.status_code == 404
    assert token
