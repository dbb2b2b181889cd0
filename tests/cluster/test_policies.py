"""The CRD on a real API server: what it accepts, what it refuses, and what it says."""

from pathlib import Path

import pytest
import yaml

from tests.support.kube import Kube

FIXTURES = Path(__file__).parent.parent / "crds"
ACCEPTED = sorted((FIXTURES / "accepted").glob("*.yaml"))
REFUSED = sorted((FIXTURES / "refused").glob("*.yaml"))
DRY = ("--dry-run=server",)


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda p: p.stem)
def test_a_good_policy_is_accepted(crd: Kube, path: Path) -> None:
    assert "created" in crd.apply(path, arguments=DRY)


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_a_bad_policy_is_refused_with_what_to_do(crd: Kube, path: Path) -> None:
    expected = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# refused: ")

    message = crd.refusal(path, arguments=DRY)

    assert expected.lower() in message.lower()


def test_the_url_of_a_policy_cannot_be_changed(crd: Kube, namespace: Kube) -> None:
    policy = yaml.safe_load((FIXTURES / "accepted/keycloak.yaml").read_text(encoding="utf-8"))
    namespace.apply(policy)
    policy["spec"]["resource"]["url"] = "https://other.example.com/mcp"

    assert "create a new policy" in namespace.refusal(policy)


def test_defaults_are_shown(crd: Kube, namespace: Kube) -> None:
    namespace.apply(FIXTURES / "accepted/keycloak.yaml")

    spec = namespace.get("mcpauth", "keycloak")["spec"]

    assert spec["verification"] == {
        "audience": "Required",
        "algorithms": ["RS256", "PS256", "ES256", "EdDSA"],
        "leewaySeconds": 30,
        "cacheSeconds": 60,
    }
    assert spec["capture"] == {"mode": "Redirect"}
    assert spec["claims"]["scopes"] == ["scope", "scp"]
