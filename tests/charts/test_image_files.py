import re
import tomllib
from pathlib import Path

import pytest
import yaml

from postern_crds import __version__
from tests.charts.rendering import CHART
from tests.support.images.standard import UV_VERSION

ROOT = CHART.parents[1]
USERS = {"operator": "65532:65532", "sidecar": "64321:64321"}
PROGRAMS = [pytest.param(name, id=name) for name in USERS]


def _dockerfile(program: str) -> str:
    return (ROOT / program / "Dockerfile").read_text(encoding="utf-8")


def _last_stage(program: str) -> str:
    return re.split(r"^FROM ", _dockerfile(program), flags=re.MULTILINE)[-1]


@pytest.mark.parametrize("program", PROGRAMS)
def test_image_runs_as_its_own_numeric_user(program: str) -> None:
    assert re.findall(r"^USER (.*)$", _last_stage(program), re.MULTILINE) == [USERS[program]]


@pytest.mark.parametrize("program", PROGRAMS)
def test_image_takes_only_the_environment_from_the_build(program: str) -> None:
    copies = re.findall(r"^COPY (.*)$", _last_stage(program), re.MULTILINE)
    assert copies == ["--from=build /app/.venv /app/.venv"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_image_starts_the_installed_program(program: str) -> None:
    scripts = tomllib.loads((ROOT / program / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    (entry,) = re.findall(r'^ENTRYPOINT \["(.*)"\]$', _last_stage(program), re.MULTILINE)
    assert entry in scripts


@pytest.mark.parametrize("program", PROGRAMS)
def test_image_is_built_with_the_uv_of_the_project(program: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ARG UV_IMAGE=.*:(.*)$", _dockerfile(program), re.MULTILINE)
    assert version == UV_VERSION
    assert f"UV_VERSION := {version}" in makefile


def test_images_and_chart_have_the_version_of_the_packages() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    for program in USERS:
        assert re.findall(r"^ARG VERSION=(.*)$", _dockerfile(program), re.MULTILINE) == [__version__]


def test_build_context_has_every_source_that_is_copied() -> None:
    ignored = Path(ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for member in ("crds", "operator", "sidecar"):
        for name in ("pyproject.toml", "README.md", "src"):
            assert f"!{member}/{name}" in ignored
