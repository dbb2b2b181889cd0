"""Policies that are accepted and refused: the same fixtures go through a real API server in the cluster tier."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from postern_crds.rules import RULES
from postern_crds.structural import custom_resource_definition, object_schema
from postern_crds.v1alpha1 import PolicySpec
from postern_crds.validate import faults, with_defaults

HERE = Path(__file__).parent
ACCEPTED = sorted((HERE / "accepted").glob("*.yaml"))
REFUSED = sorted((HERE / "refused").glob("*.yaml"))


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda p: p.stem)
def test_a_good_policy_has_no_faults_and_fits_the_model(path: Path) -> None:
    policy = _load(path)

    assert faults(policy) == []
    spec = msgspec.convert(with_defaults(policy, object_schema())["spec"], PolicySpec)
    assert spec == msgspec.convert(policy["spec"], PolicySpec), "the schema's defaults are those of the model"


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_a_bad_policy_is_refused(path: Path) -> None:
    found = faults(_load(path))

    assert found
    assert all(f.path for f in found), "every fault says where"


@pytest.mark.parametrize("path", REFUSED, ids=lambda p: p.stem)
def test_refusal_of_a_rule_says_here_what_the_api_server_says(path: Path) -> None:
    expected = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# refused: ").lower()
    is_of_a_rule = any(expected in rule.message.lower() for rule in RULES)

    said = any(expected in fault.message.lower() for fault in faults(_load(path)))

    assert said or not is_of_a_rule


@pytest.mark.parametrize("has_proxy", [True, False])
@pytest.mark.parametrize("mode", ["Direct", "Proxy"])
@pytest.mark.parametrize("path", ACCEPTED, ids=lambda p: p.stem)
def test_proxy_belongs_to_its_mode_whatever_else_does_not_fit(path: Path, mode: str, has_proxy: bool) -> None:
    policy = _load(path)
    proxy = {"client": {"id": "x", "secretRef": {"name": "x"}}, **policy["spec"].pop("proxy", {})}
    policy["spec"] |= {"mode": mode, **({"proxy": proxy} if has_proxy else {})}

    told = any(fault.message.startswith("proxy belongs to mode: Proxy") for fault in faults(policy))

    assert told == ((mode == "Proxy") != has_proxy)


def test_each_rule_that_judges_a_value_refuses_a_fixture() -> None:
    said = {fault.message for path in REFUSED for fault in faults(_load(path))}

    silent = [r.message for r in RULES if r.holds is not None and r.message not in said]

    assert silent == []


def _empty_properties(node: Any, path: str = "$") -> list[str]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [path] if isinstance(node, dict) and node.get("properties") == {} else []
    return found + [place for name, child in children for place in _empty_properties(child, f"{path}.{name}")]


def test_definition_has_no_empty_properties_which_the_api_server_drops_and_later_appliers_conflict_over() -> None:
    assert _empty_properties(object_schema()) != [], "there are providers without a field"
    assert _empty_properties(custom_resource_definition()) == []


def _undescribed(node: dict[str, Any], path: str) -> list[str]:
    found = []
    for name, child in node.get("properties", {}).items():
        found += [] if "description" in child else [f"{path}.{name}"]
        found += _undescribed(child, f"{path}.{name}") + _undescribed(child.get("items", {}), f"{path}.{name}[]")
    return found


def test_every_field_of_the_spec_is_described() -> None:
    assert _undescribed(object_schema()["properties"]["spec"], "spec") == []


def test_every_fault_is_listed_not_only_the_first() -> None:
    policy = _load(HERE / "accepted" / "keycloak.yaml")
    policy["spec"]["resource"]["url"] = "http://mcp.example.com/mcp/"
    policy["spec"]["scopes"] = {"supported": ["offline_access"]}

    assert [f.path for f in faults(policy)] == ["spec.resource.url", "spec.resource.url", "spec.scopes.supported"]
