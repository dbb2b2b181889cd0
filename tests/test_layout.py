"""The house in order: nothing shadows the standard library, one version everywhere, derived files fresh."""

import re
import sys
import tomllib
from pathlib import Path

import yaml

from postern_crds.reference import page
from postern_crds.structural import custom_resource_definition

ROOT = Path(__file__).parent.parent
MEMBERS = ("crds", "operator", "sidecar")


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    names = {p.stem for m in MEMBERS for p in (ROOT / m / "src").rglob("*.py")} - {"__init__", "__main__"}
    allowed = {"queue"}  # postern_operator.controller.queue: imported absolutely, never as a top-level name

    assert sorted(names & sys.stdlib_module_names - allowed) == []


def test_no_top_level_folder_is_importable_in_place_of_a_standard_module() -> None:
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")}

    assert sorted(packages & sys.stdlib_module_names) == []


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {p.parent for p in (ROOT / "tests").rglob("*.py") if "node_modules" not in p.parts}

    assert sorted(str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()) == []


def test_one_version_everywhere() -> None:
    versions = {tomllib.loads((ROOT / m / "pyproject.toml").read_text())["project"]["version"] for m in MEMBERS}
    versions |= {
        re.search(r'__version__ = "([^"]+)"', (ROOT / m / "src" / f"postern_{m}" / "__init__.py").read_text()).group(1)  # type: ignore[union-attr]  # a missing version fails the test
        for m in MEMBERS
    }
    chart = yaml.safe_load((ROOT / "charts/postern/Chart.yaml").read_text())
    versions |= {chart["version"], chart["appVersion"]}

    assert len(versions) == 1


def test_the_crd_is_fresh_in_both_places() -> None:
    for place in (ROOT / "crds", ROOT / "charts/postern/crds"):
        written = yaml.safe_load((place / "mcpauthpolicies.postern.dev.yaml").read_text(encoding="utf-8"))
        assert written == custom_resource_definition(), f"{place}: run make generate"


def test_the_field_reference_is_fresh() -> None:
    assert (ROOT / "docs/policy.md").read_text(encoding="utf-8") == page(), "run make generate"


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(p.relative_to(ROOT))
        for m in MEMBERS
        for p in (ROOT / m / "src").rglob("*.py")
        if p.stat().st_size > 200 and not p.read_text(encoding="utf-8").lstrip().startswith('"""')
    ]

    assert silent == []
