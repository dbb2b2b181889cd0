"""Each pod of input/ becomes exactly the pod of output/: nothing is lost, and a second time changes nothing."""

import copy
from typing import Any

import pytest

from tests.operator.pod.pairs import NAMES, OUTPUT, read_input, write_output
from tests.operator.pod.samples import injected


@pytest.mark.parametrize("name", NAMES)
def test_pod_becomes_exactly_what_is_written(name: str) -> None:
    assert write_output(name) == (OUTPUT / f"{name}.yaml").read_text(encoding="utf-8")


def test_every_output_has_an_input() -> None:
    assert sorted(path.stem for path in OUTPUT.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_second_injection_changes_nothing(name: str) -> None:
    pod, policy = read_input(name)

    once = injected(pod, policy)

    assert injected(once.pod, policy).pod == once.pod


@pytest.mark.parametrize("name", NAMES)
def test_input_is_never_changed(name: str) -> None:
    pod, policy = read_input(name)
    before = copy.deepcopy((pod, policy))

    injected(pod, policy)

    assert (pod, policy) == before


@pytest.mark.parametrize("name", [name for name in NAMES if name != "unlabelled"])
def test_our_containers_come_first_and_the_users_keep_their_order(name: str) -> None:
    pod, policy = read_input(name)

    after = injected(pod, policy).pod["spec"]

    inits = [container["name"] for container in after["initContainers"]]
    assert inits[:2] == ["postern-net", "postern"]
    assert inits[2:] == _names(pod["spec"].get("initContainers"))
    assert _names(after["containers"]) == _names(pod["spec"]["containers"])
    assert _names(after["volumes"])[:-1] == _names(pod["spec"].get("volumes"))


@pytest.mark.parametrize("name", NAMES)
def test_output_is_plain_yaml_without_aliases(name: str) -> None:
    assert "&id" not in (OUTPUT / f"{name}.yaml").read_text(encoding="utf-8")


def _names(items: list[dict[str, Any]] | None) -> list[str]:
    return [item["name"] for item in items or []]
