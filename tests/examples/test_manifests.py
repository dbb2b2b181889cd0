from pathlib import Path
from typing import Any

import pytest
import yaml

from examples.demo.images import IDP, ROOT, WEATHER
from examples.demo.stage import IDP_NAME, IDP_PORT, ISSUER, MANIFESTS, NAMESPACE, URL, Stage
from postern_crds.validate import faults
from tests.support.kube import Kube

TRY_POLICY = ROOT / "examples/try/policy.yaml"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [TRY_POLICY, MANIFESTS / "policy.yaml"], ids=["try", "demo"])
def test_policy_is_accepted(path: Path) -> None:
    assert faults(documents(path)[0]) == []


def test_demo_policy_names_what_the_story_uses() -> None:
    (policy,) = documents(MANIFESTS / "policy.yaml")

    assert policy["spec"]["resource"]["url"] == URL
    assert policy["spec"]["provider"]["custom"]["issuer"] == ISSUER


def test_identity_provider_is_configured_for_its_name_and_the_resource() -> None:
    service, deployment = documents(MANIFESTS / "idp.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    variables = {entry["name"]: entry["value"] for entry in container["env"]}

    assert f"{service['metadata']['name']}.{NAMESPACE}.svc" == IDP_NAME
    assert service["spec"]["ports"][0]["port"] == IDP_PORT
    assert variables["ISSUER"] == ISSUER
    assert URL in variables["RESOURCES"].split()


def test_server_knows_nothing_of_oauth() -> None:
    words = (MANIFESTS / "weather.yaml").read_text(encoding="utf-8").split("apiVersion", 1)[1].lower()

    assert "postern.dev" not in words
    assert "oauth" not in words


@pytest.mark.parametrize(("name", "image"), [("idp", IDP), ("weather", WEATHER)])
def test_images_come_from_the_registry_of_the_stage(tmp_path: Path, name: str, image: str) -> None:
    text = Stage(kube=Kube(), folder=tmp_path, registry="registry.example/team").manifest(name)

    (deployment,) = [d for d in yaml.safe_load_all(text) if d["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example/team/{image}"
