"""A policy becomes the file that sidecars read: a golden file, and what each part follows from."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from postern_crds.sidecar_config import config_hash, decode, encode
from postern_crds.structural import object_schema
from postern_crds.validate import with_defaults
from postern_operator.policy.render import render
from postern_operator.policy.stored import parse, problems
from tests.operator.pod.samples import make_policy

HERE = Path(__file__).parent
ACCEPTED = HERE.parents[1] / "crds" / "accepted"


@pytest.mark.parametrize("name", ["full", "minimal"])
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
