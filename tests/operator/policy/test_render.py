"""A policy becomes the file that sidecars read: a golden file, and what each part follows from."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from postern_crds.sidecar_config import SidecarConfig, UpstreamConfig, config_hash, decode, encode
from postern_crds.structural import object_schema
from postern_crds.validate import with_defaults
from postern_operator.policy.presets import PRESETS
from postern_operator.policy.render import render
from postern_operator.policy.stored import parse, problems
from tests.operator.pod.samples import make_policy, merged

HERE = Path(__file__).parent
ACCEPTED = HERE.parents[1] / "crds" / "accepted"


@pytest.mark.parametrize("name", sorted(path.stem for path in (HERE / "input").glob("*.yaml")))
def test_policy_becomes_exactly_the_file(name: str) -> None:
    policy = yaml.safe_load((HERE / "input" / f"{name}.yaml").read_text(encoding="utf-8"))

    assert problems(policy) == ()
    assert encode(render(policy)) == (HERE / "output" / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(ACCEPTED.glob("*.yaml")), ids=lambda path: str(path.stem))
def test_every_policy_that_the_api_server_accepts_is_rendered(path: Path) -> None:
    policy = yaml.safe_load(path.read_text(encoding="utf-8"))

    config = render(policy)

    assert decode(encode(config).encode()) == config
    assert config.resource.url == policy["spec"]["resource"]["url"]


def test_result_is_sealed_and_readable() -> None:
    config = render(make_policy())

    assert config.hash == config_hash(config)
    assert decode(encode(config).encode()) == config


def test_stored_object_with_defaults_gives_the_same_as_the_short_form() -> None:
    stored = with_defaults(make_policy(), object_schema())

    assert stored != make_policy()
    assert render(stored) == render(make_policy())


@pytest.mark.parametrize(
    ("url", "metadata_url", "path"),
    [
        ("https://h.example/mcp", "https://h.example/.well-known/oauth-protected-resource/mcp", "/mcp"),
        ("https://h.example/a/b", "https://h.example/.well-known/oauth-protected-resource/a/b", "/a/b"),
        ("https://h.example:8443/", "https://h.example:8443/.well-known/oauth-protected-resource", "/"),
        ("https://h.example", "https://h.example/.well-known/oauth-protected-resource", "/"),
        ("http://[::1]:8000/mcp", "http://[::1]:8000/.well-known/oauth-protected-resource/mcp", "/mcp"),
    ],
)
def test_metadata_url_is_inserted_between_host_and_path(url: str, metadata_url: str, path: str) -> None:
    resource = render(make_policy(resource={"url": url})).resource

    assert (resource.url, resource.metadata_url, resource.path) == (url, metadata_url, path)


def test_server_path_defaults_to_the_public_one() -> None:
    assert render(make_policy()).server.path == "/mcp"
    assert render(make_policy(server={"path": "/"})).server.path == "/"


@pytest.mark.parametrize(
    ("scopes", "required", "supported"),
    [
        ({}, (), ()),
        ({"required": ["a"]}, ("a",), ("a",)),
        ({"required": ["a"], "supported": ["a", "b"]}, ("a",), ("a", "b")),
        ({"supported": []}, (), ()),
    ],
)
def test_supported_scopes_default_to_the_required_ones(
    scopes: dict[str, Any], required: tuple[str, ...], supported: tuple[str, ...]
) -> None:
    verification = render(make_policy(scopes=scopes)).verification

    assert (verification.required_scopes, verification.supported_scopes) == (required, supported)


@pytest.mark.parametrize(
    ("verification", "audiences", "is_required"),
    [
        ({}, ("https://mcp.example.com/mcp",), True),
        ({"audiences": ["api://x"]}, ("api://x",), True),
        ({"audience": "IssuerOnly"}, (), False),
    ],
)
def test_audience_is_checked_unless_it_is_waived(
    verification: dict[str, Any], audiences: tuple[str, ...], is_required: bool
) -> None:
    rendered = render(make_policy(verification=verification)).verification

    assert (rendered.audiences, rendered.audience_required) == (audiences, is_required)


def test_keycloak_roles_are_also_found_in_the_realm_unless_the_user_says_where() -> None:
    assert render(make_policy()).claims.roles == ("roles", "realm_access.roles")
    assert render(make_policy(claims={"roles": ["groups"]})).claims.roles == ("groups",)


def test_other_providers_keep_the_default_claims() -> None:
    policy = make_policy(provider={"keycloak": None, "workos": {"domain": "acme.authkit.app"}})

    assert render(policy).claims.roles == ("roles",)


def test_ca_bundle_makes_the_sidecar_wait_for_it() -> None:
    assert render(make_policy(caBundle={"configMap": {"name": "ca"}})).issuer.private_ca
    assert not render(make_policy()).issuer.private_ca


def _proxy(provider: dict[str, Any] | None = None, **spec: Any) -> SidecarConfig:
    client = {"id": "our-client", "secretRef": {"name": "client"}}
    chosen = {"keycloak": None, **provider} if provider else {}
    proxy = merged({"client": client}, spec.pop("proxy", {}))
    policy = make_policy(mode="Proxy", provider=chosen, proxy=proxy, **spec)
    assert problems(policy) == ()
    return render(policy)


def _upstream(config: SidecarConfig) -> UpstreamConfig:
    assert config.proxy is not None
    return config.proxy.upstream


def test_every_provider_has_a_golden_file_of_mode_proxy() -> None:
    policies = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (HERE / "input").glob("*-proxy.yaml")]

    assert {next(iter(policy["spec"]["provider"])) for policy in policies} == {
        name for name, preset in PRESETS.items() if preset.proxy is not None
    }


@pytest.mark.parametrize(
    ("duration", "seconds"), [("60s", 60), ("1h", 3600), ("1h30m", 5400), ("1h0m5s", 3605), ("24h", 86400)]
)
def test_life_of_access_tokens_is_given_in_seconds(duration: str, seconds: int) -> None:
    proxy = _proxy(proxy={"accessTokenTTL": duration}).proxy

    assert proxy is not None
    assert proxy.access_token_ttl_s == seconds


@pytest.mark.parametrize(
    ("scopes", "asked"),
    [
        pytest.param({}, ("openid", "profile", "email"), id="preset"),
        pytest.param({"requested": ["profile"]}, ("openid", "profile"), id="openid is added"),
        pytest.param({"requested": ["a", "openid"]}, ("openid", "a"), id="once"),
        pytest.param({"required": ["weather.read"]}, ("openid", "profile", "email"), id="those of clients are theirs"),
    ],
)
def test_scopes_of_the_policy_are_asked_for_at_each_login(scopes: dict[str, Any], asked: tuple[str, ...]) -> None:
    assert _upstream(_proxy(scopes=scopes)).scopes == asked


_ENTRA = {"entra": {"tenantID": "72f988bf-86f1-41af-91ab-2d7cd011db47"}}


@pytest.mark.parametrize(
    ("scopes", "ours"),
    [
        pytest.param({}, ("our-client/.default",), id="no scopes at all"),
        pytest.param({"required": ["a"], "supported": ["a", "b"]}, ("api://our-client/a",), id="the required ones"),
        pytest.param({"supported": ["b", "c"]}, ("api://our-client/b",), id="the first that can be had"),
        pytest.param(
            {"supported": ["b"], "requested": ["openid", "c"]}, ("api://our-client/c",), id="as the user says"
        ),
        pytest.param({"requested": ["profile"]}, ("our-client/.default",), id="else it were a token for another API"),
        pytest.param({"requested": ["https://x.example/a"]}, ("https://x.example/a",), id="spelled out"),
    ],
)
def test_entra_is_always_asked_for_a_scope_of_ours(scopes: dict[str, Any], ours: tuple[str, ...]) -> None:
    asked = _upstream(_proxy(_ENTRA, scopes=scopes)).scopes

    assert tuple(scope for scope in asked if scope not in ("openid", "profile", "email")) == ours


def test_custom_issuer_without_openid_among_its_scopes_gives_no_id_tokens() -> None:
    custom = {"custom": {"issuer": "https://idp.example.com"}}

    plain, openid = (_upstream(_proxy(custom, scopes=scopes)) for scopes in ({"requested": ["read"]}, {}))

    assert (plain.openid, plain.scopes, plain.offline_scope) == (False, ("read",), "")
    assert (openid.openid, openid.offline_scope) == (True, "offline_access")


def test_named_userinfo_endpoint_is_asked_but_not_twice() -> None:
    custom = {"custom": {"issuer": "https://idp.example.com", "userinfoEndpoint": "https://idp.example.com/me"}}

    assert _upstream(_proxy(custom)).userinfo
    assert not _upstream(_proxy(custom, verification={"kind": "Userinfo"})).userinfo
    assert not _upstream(_proxy({"custom": {"issuer": "https://idp.example.com"}})).userinfo


def test_parameters_of_the_user_win_and_offline_ones_go_without_refresh_tokens() -> None:
    def names(**proxy: Any) -> dict[str, str]:
        found = _upstream(_proxy({"google": {}}, proxy=proxy)).authorize_params
        return {parameter.name: parameter.value for parameter in found}

    assert names() == {"access_type": "offline", "prompt": "consent"}
    assert names(extraAuthorizeParams={"prompt": "select_account", "hd": "example.com"}) == {
        "access_type": "offline",
        "hd": "example.com",
        "prompt": "select_account",
    }
    assert names(grantTypes=["authorization_code"]) == {}


def test_nobody_but_better_auth_is_sent_a_resource() -> None:
    sent = set()
    for path in ACCEPTED.glob("*-proxy.yaml"):
        config = render(yaml.safe_load(path.read_text(encoding="utf-8")))
        sent |= {config.issuer.provider} if _upstream(config).sends_resource else set()

    assert sent == {"betterAuth"}


def test_authentication_of_our_client_is_the_preset_s_unless_the_user_says_how() -> None:
    public = {"client": {"id": "x", "authMethod": "none", "secretRef": None}}

    assert _upstream(_proxy()).auth_method == "client_secret_basic"
    assert _upstream(_proxy({"google": {}})).auth_method == "client_secret_post"
    assert _upstream(_proxy(proxy={"client": {"authMethod": "client_secret_post"}})).auth_method == "client_secret_post"
    assert _upstream(_proxy(proxy=public)).auth_method == "none"


@pytest.mark.parametrize(
    ("mode", "introspection", "client", "expected"),
    [
        pytest.param(
            "Proxy", None, {}, ("our-client", "client-secret", "client_secret_basic", 30), id="our client, by default"
        ),
        pytest.param(
            "Proxy",
            {"cacheSeconds": 5},
            {"authMethod": "client_secret_post"},
            ("our-client", "client-secret", "client_secret_post", 5),
            id="our client, in its way",
        ),
        pytest.param(
            "Proxy",
            {"clientID": "checker", "secretRef": {"name": "s"}},
            {},
            ("checker", "introspection-secret", "client_secret_basic", 30),
            id="a client of its own",
        ),
        pytest.param(
            "Direct",
            {"clientID": "checker", "secretRef": {"name": "s"}},
            {},
            ("checker", "introspection-secret", "client_secret_basic", 30),
            id="mode Direct",
        ),
    ],
)
def test_tokens_are_introspected_as_the_client_that_may(
    mode: str, introspection: dict[str, Any] | None, client: dict[str, Any], expected: tuple[str, str, str, int]
) -> None:
    verification = {"kind": "Introspection", **({"introspection": introspection} if introspection else {})}
    config = (
        _proxy(verification=verification, proxy={"client": client})
        if mode == "Proxy"
        else render(make_policy(verification=verification))
    )

    remote = config.verification.remote
    assert remote is not None
    assert (remote.kind, remote.url) == ("Introspection", None)
    assert (remote.client_id, remote.secret_file, remote.auth_method, remote.cache_s) == expected
    assert config.verification.audiences == ("https://mcp.example.com/mcp",)


def test_introspection_without_a_client_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"spec\.verification\.introspection: must have clientID"):
        render(make_policy(verification={"kind": "Introspection"}))


@pytest.mark.parametrize(
    ("provider", "kind", "audiences", "secret_file"),
    [
        pytest.param({"google": {}}, "Tokeninfo", ("our-client",), "", id="google"),
        pytest.param({"github": {}}, "AppToken", ("our-client",), "client-secret", id="github"),
    ],
)
def test_opaque_tokens_are_verified_by_their_provider_and_bound_to_our_client(
    provider: dict[str, Any], kind: str, audiences: tuple[str, ...], secret_file: str
) -> None:
    verification = _proxy(provider, verification={"cacheSeconds": 9}).verification

    assert verification.remote is not None
    assert (verification.remote.kind, verification.remote.cache_s) == (kind, 9)
    assert verification.remote.secret_file == secret_file
    assert (verification.audiences, verification.audience_required) == (audiences, True)
    assert verification.client_id == ""


WORKOS = {"workos": {"domain": "acme.authkit.app"}}


@pytest.mark.parametrize(
    ("chosen", "kind", "audiences", "client_id"),
    [
        pytest.param({}, None, (), "our-client", id="preset"),
        pytest.param({"kind": "JWT"}, None, (), "our-client", id="JWT"),
        pytest.param({"audiences": ["client_env"]}, None, ("client_env",), "our-client", id="audiences besides"),
        pytest.param({"audience": "IssuerOnly"}, None, (), "", id="waived"),
        pytest.param({"kind": "Userinfo"}, "Userinfo", (), "", id="Userinfo"),
        pytest.param(
            {"kind": "Introspection"}, "Introspection", ("https://mcp.example.com/mcp",), "", id="Introspection"
        ),
    ],
)
def test_tokens_of_workos_are_bound_to_our_application_in_mode_proxy(
    chosen: dict[str, Any], kind: str | None, audiences: tuple[str, ...], client_id: str
) -> None:
    verification = _proxy(WORKOS, verification=chosen).verification

    assert (verification.remote and verification.remote.kind) == kind
    assert (verification.audiences, verification.audience_required) == (audiences, bool(audiences))
    assert verification.client_id == client_id


@pytest.mark.parametrize("provider", [{"auth0": {"domain": "a.auth0.com", "audience": "urn:x"}}, None])
def test_audience_alone_binds_tokens_of_others(provider: dict[str, Any] | None) -> None:
    verification = _proxy(provider).verification

    assert (verification.client_id, verification.audience_required) == ("", True)


def test_tokens_of_workos_are_bound_by_the_resource_in_mode_direct() -> None:
    verification = render(make_policy(provider={"keycloak": None, **WORKOS})).verification

    assert (verification.audiences, verification.audience_required) == (("https://mcp.example.com/mcp",), True)
    assert (verification.remote, verification.client_id) == (None, "")


def test_mode_direct_has_no_part_of_the_facade() -> None:
    assert render(make_policy()).proxy is None
    assert render(make_policy(forward={"accessToken": "AsReceived"})).forward.access_token == "AsReceived"


def test_fault_is_raised_with_its_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"spec\.server\.exemptPorts"):
        render(make_policy(server={"exemptPorts": ["x"]}))


def test_problems_are_told_one_by_one_with_their_path() -> None:
    found = problems(make_policy(resource={"url": "ftp://x/", "nmae": "typo"}, mode="Indirect"))

    assert any(line.startswith("spec.resource.nmae: unknown field") for line in found)
    assert any(line.startswith("spec.mode: ") for line in found)


def test_policy_without_a_namespace_is_read() -> None:
    policy = make_policy()
    policy["metadata"] = {"name": "weather"}

    assert str(parse(policy)) == "McpAuthPolicy weather"
    assert render(policy).policy.namespace == ""
