from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.demo.images import IDP, ROOT, WEATHER
from examples.demo.second_act import CALLBACK_URL, CLIENT_ID
from examples.demo.stage import (
    FORECAST_URL,
    IDP_NAME,
    IDP_PORT,
    ISSUER,
    MANIFESTS,
    NAMESPACE,
    SSO_ISSUER,
    SSO_NAME,
    SSO_PORT,
    URL,
    Stage,
)
from postern_crds.validate import faults
from postern_operator.policy.render import render
from tests.support.kube import Kube

TRY_POLICY = ROOT / "examples/try/policy.yaml"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "path",
    [TRY_POLICY, MANIFESTS / "policy.yaml", MANIFESTS / "forecast-policy.yaml"],
    ids=["try", "demo", "second act"],
)
def test_policy_is_accepted(path: Path) -> None:
    assert faults(documents(path)[0]) == []


def test_demo_policy_names_what_the_story_uses() -> None:
    (policy,) = documents(MANIFESTS / "policy.yaml")

    assert policy["spec"]["resource"]["url"] == URL
    assert policy["spec"]["provider"]["custom"]["issuer"] == ISSUER


def test_policy_of_the_second_act_names_what_the_story_uses() -> None:
    (policy,) = documents(MANIFESTS / "forecast-policy.yaml")
    proxy = render(policy).proxy

    assert policy["spec"]["resource"]["url"] == FORECAST_URL
    assert policy["spec"]["provider"]["custom"]["issuer"] == SSO_ISSUER
    assert proxy is not None
    assert (proxy.upstream.client_id, proxy.upstream.redirect_uri) == (CLIENT_ID, CALLBACK_URL)


@pytest.mark.parametrize(
    ("manifest", "name", "port", "issuer", "resource"),
    [
        pytest.param("idp", IDP_NAME, IDP_PORT, ISSUER, URL, id="idp"),
        pytest.param("sso", SSO_NAME, SSO_PORT, SSO_ISSUER, FORECAST_URL, id="sso"),
    ],
)
def test_identity_provider_is_configured_for_its_name_and_the_resource(
    manifest: str, name: str, port: int, issuer: str, resource: str
) -> None:
    service, deployment = documents(MANIFESTS / f"{manifest}.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {entry["name"]: entry["value"] for entry in container["env"]}

    assert f"{service['metadata']['name']}.{NAMESPACE}.svc" == name
    assert service["spec"]["ports"][0]["port"] == port
    assert variables["ISSUER"] == issuer
    assert resource in variables["RESOURCES"].split()


@pytest.mark.parametrize("name", ["weather", "forecast"])
def test_server_knows_nothing_of_oauth(name: str) -> None:
    words = (MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8").split("apiVersion", 1)[1].lower()

    assert "postern.dev" not in words
    assert "oauth" not in words


@pytest.mark.parametrize(("name", "image"), [("idp", IDP), ("weather", WEATHER), ("sso", IDP), ("forecast", WEATHER)])
def test_images_come_from_the_registry_of_the_stage(tmp_path: Path, name: str, image: str) -> None:
    text = Stage(kube=Kube(), folder=tmp_path, registry="registry.example/team").manifest(name)

    (deployment,) = [d for d in yaml.safe_load_all(text) if d["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example/team/{image}"
