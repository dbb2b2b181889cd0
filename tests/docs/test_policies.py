"""Every policy that the documentation shows is one that Postern takes."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from postern_crds.validate import faults
from postern_operator.policy.presets import PRESETS
from postern_operator.policy.render import render
from postern_operator.policy.stored import problems

ROOT = Path(__file__).parents[2]
PROVIDERS = ROOT / "docs/providers"
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^ *```(?:yaml|sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SECRET = re.compile(r"--namespace (\S+) create secret generic (\S+) --from-literal=([^=\s]+)=")


class Shown(NamedTuple):
    """A policy on a page."""

    page: Path
    policy: dict[str, Any]


def _documents(block: str) -> list[Any]:
    # In shell blocks policies stand in here-documents.
    inner = re.search(r"<<'YAML'\n(.*?)^YAML$", block, re.MULTILINE | re.DOTALL)
    return list(yaml.safe_load_all(inner[1] if inner else block))


def _shown(page: Path) -> list[Shown]:
    blocks = [block for block in _BLOCK.findall(page.read_text(encoding="utf-8")) if "kind: McpAuthPolicy" in block]
    documents = [document for block in blocks for document in _documents(block)]
    return [Shown(page, document) for document in documents if document["kind"] == "McpAuthPolicy"]


SHOWN = [shown for page in PAGES for shown in _shown(page)]


def _provider(shown: Shown) -> str:
    (name,) = shown.policy["spec"]["provider"]
    return str(name)


def _page(provider: str) -> Path:
    name = re.sub("([A-Z])", r"-\1", provider).lower()
    return PROVIDERS / f"{name}.md"


@pytest.mark.parametrize(
    "shown", [pytest.param(shown, id=f"{shown.page.name}-{number}") for number, shown in enumerate(SHOWN)]
)
def test_a_policy_of_the_documentation_renders_without_a_fault(shown: Shown) -> None:
    assert not faults(shown.policy)
    assert not problems(shown.policy)
    assert render(shown.policy).mode == shown.policy["spec"]["mode"]


@pytest.mark.parametrize("provider", PRESETS)
def test_every_provider_has_a_page_with_a_policy_for_each_of_its_modes(provider: str) -> None:
    preset = PRESETS[provider]
    wanted = {"Direct"} if preset.direct else set()
    wanted |= {"Proxy"} if preset.proxy is not None else set()

    modes = {shown.policy["spec"]["mode"] for shown in SHOWN if shown.page == _page(provider)}

    assert modes == wanted
    assert f"]({_page(provider).name})" in (PROVIDERS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "shown", [pytest.param(s, id=f"{s.page.name}-{n}") for n, s in enumerate(SHOWN) if "proxy" in s.policy["spec"]]
)
def test_a_page_creates_the_secret_that_its_policy_names(shown: Shown) -> None:
    reference = shown.policy["spec"]["proxy"]["client"]["secretRef"]
    created = set(_SECRET.findall(shown.page.read_text(encoding="utf-8")))

    assert (shown.policy["metadata"]["namespace"], reference["name"], reference.get("key", "client-secret")) in created


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", sorted(PROVIDERS.glob("*.md")), ids=lambda page: page.name)
def test_pages_of_providers_name_where_the_callback_url_is_told(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert "callbackURL" in text or "Mode `Direct` alone" in text
