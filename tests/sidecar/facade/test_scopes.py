from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.scopes import grantable, inward, outward, parse_scopes
from tests.support.policies import PROXY, make_config, make_proxy_config


def policy(supported: tuple[str, ...] = (), required: tuple[str, ...] = (), **upstream: Any) -> SidecarConfig:
    proxy = msgspec.structs.replace(PROXY, upstream=msgspec.structs.replace(PROXY.upstream, **upstream))
    return make_proxy_config(proxy, verification={"supported_scopes": supported, "required_scopes": required})


@pytest.mark.parametrize(
    ("value", "scopes"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param("", None, id="empty"),
        pytest.param("   ", None, id="spaces alone"),
        pytest.param("a", ("a",), id="one"),
        pytest.param("a b", ("a", "b"), id="two"),
        pytest.param(" a  b a ", ("a", "b"), id="more spaces, and one twice"),
        pytest.param("https://x/.default a:b", ("https://x/.default", "a:b"), id="URI"),
    ],
)
def test_scope_parameter_is_read(value: str | None, scopes: tuple[str, ...] | None) -> None:
    assert parse_scopes(value) == scopes


@pytest.mark.parametrize("value", ['a"b', "a\\b", "a\r\nSet-Cookie: x", "a\tb", "ä", "a" * 257, "a\x00"])
def test_malformed_scope_is_refused(value: str) -> None:
    with pytest.raises(OAuthFault) as refusal:
        parse_scopes(value)
    assert refusal.value.error == "invalid_scope"


def test_client_that_asks_for_nothing_gets_what_is_advertised() -> None:
    assert grantable(None, policy(("read", "write"), ("read",))) == ("read", "write")


def test_client_gets_no_more_than_it_asked_for_and_what_is_required() -> None:
    assert grantable(("write",), policy(("read", "write", "delete"), ("read",))) == ("write", "read")


def test_unknown_scopes_are_left_out() -> None:
    assert grantable(("admin", "read"), policy(("read",))) == ("read",)
    assert grantable(("openid", "email", "profile"), policy()) == ()


def test_offline_access_stays_in_the_grant_only_where_refresh_tokens_are_handed_out() -> None:
    assert grantable(("offline_access",), policy(("read",))) == ("offline_access",)
    without = msgspec.structs.replace(PROXY, grant_types=("authorization_code",))
    assert grantable(("offline_access",), make_proxy_config(without)) == ()


def test_identity_provider_is_asked_for_its_own_scopes_and_those_of_the_client() -> None:
    config = policy(("read",), scopes=("openid", "email"), offline_scope="offline_access")
    assert outward(("read", "email"), config, offline=True) == ("openid", "email", "read", "offline_access")


def test_offline_access_of_the_client_is_never_passed_on_as_it_is() -> None:
    config = policy(("read",), scopes=("openid",), offline_scope="")
    assert outward(("offline_access", "read"), config, offline=True) == ("openid", "read")


def test_client_without_refresh_tokens_asks_for_no_offline_access() -> None:
    assert outward((), policy(scopes=("openid",), offline_scope="offline_access"), offline=False) == ("openid",)


def test_prefix_is_put_before_our_scopes_alone() -> None:
    config = policy(scopes=("openid", "User.Read"), scope_prefix="api://app/", offline_scope="offline_access")
    asked = ("access", "email", "https://graph.microsoft.com/Mail.Read")
    assert outward(asked, config, offline=True) == (
        "openid",
        "User.Read",
        "api://app/access",
        "email",
        "https://graph.microsoft.com/Mail.Read",
        "offline_access",
    )


def test_prefix_is_removed_on_the_way_in() -> None:
    config = policy(("access",), scope_prefix="api://app/")
    assert inward("api://app/access openid", config) == ("access", "openid")


@pytest.mark.parametrize("granted", ["repo,user", "repo user", "repo, user", ["repo", "user"], ["repo", "", "user"]])
def test_scopes_are_read_in_every_spelling(granted: str | list[str]) -> None:
    assert inward(granted, policy()) == ("repo", "user")


def test_no_scopes_are_none() -> None:
    assert inward("", policy()) == ()


def test_uris_of_google_become_the_short_names_that_were_asked_for() -> None:
    granted = "openid https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/userinfo.profile"
    assert inward(granted, policy(("email",), scopes=("openid", "profile"))) == ("openid", "email", "profile")


def test_uris_of_google_stay_when_they_were_asked_for() -> None:
    email = "https://www.googleapis.com/auth/userinfo.email"
    assert inward(email, policy((email, "email"))) == (email,)
    assert inward(email, policy()) == (email,)


def test_mode_direct_has_no_scopes_for_the_identity_provider() -> None:
    with pytest.raises(ValueError, match="mode Proxy"):
        outward((), make_config(), offline=False)


SCOPE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\,'), min_size=1)


@given(st.lists(SCOPE, unique=True), st.lists(SCOPE, unique=True), st.lists(SCOPE, unique=True))
def test_nothing_is_ever_granted_that_the_policy_does_not_advertise(
    asked: list[str], supported: list[str], required: list[str]
) -> None:
    advertised = tuple(dict.fromkeys((*required, *supported)))
    granted = grantable(tuple(asked), policy(advertised, tuple(required)))
    assert set(granted) <= {*advertised, "offline_access"}
    assert set(granted) >= set(required)
    assert set(granted) <= {*asked, *required}


@given(st.lists(SCOPE, unique=True))
def test_what_goes_out_comes_back(scopes: list[str]) -> None:
    config = policy(tuple(scopes), scopes=(), scope_prefix="api://app/", offline_scope="")
    sent = outward(scopes, config, offline=False)
    assert inward(" ".join(sent), config) == tuple(
        scope.removeprefix("api://app/") for scope in scopes if scope != "offline_access"
    )
