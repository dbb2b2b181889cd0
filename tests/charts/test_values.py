import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.charts.rendering import CHART

VALUES_TEXT = (CHART / "values.yaml").read_text(encoding="utf-8")
VALUES: dict[str, Any] = yaml.safe_load(VALUES_TEXT)
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

KUBERNETES = {"resources", "nodeSelector", "tolerations", "affinity", "podAnnotations", "podLabels"}
"""Values whose members are Kubernetes' own and are documented there."""


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    resolved: dict[str, Any] = SCHEMA["definitions"][reference.rsplit("/", 1)[1]]
    return resolved


def _value_paths(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{above}{name}"
        if isinstance(value, dict) and name not in KUBERNETES:
            yield from _value_paths(value, f"{above}{name}.")


def _schema_paths(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, child in _resolve(schema).get("properties", {}).items():
        yield f"{above}{name}"
        if name not in KUBERNETES:
            yield from _schema_paths(child, f"{above}{name}.")


def _described_paths() -> Iterator[str]:
    """The keys of values.yaml with a comment directly above them."""
    above: list[tuple[int, str]] = []
    commented = False
    for line in VALUES_TEXT.splitlines():
        key = re.match(r"^( *)([A-Za-z]+):", line)
        if key:
            indent = len(key[1])
            above = [(width, name) for width, name in above if width < indent] + [(indent, key[2])]
            if commented:
                yield ".".join(name for _, name in above)
        commented = line.lstrip().startswith("#")


def _objects_of_the_schema(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield path, schema
        for name, child in schema.items():
            yield from _objects_of_the_schema(child, f"{path}/{name}")


def test_every_value_has_a_comment_above_it() -> None:
    assert set(_value_paths(VALUES)) - set(_described_paths()) == set()


def test_values_and_schema_name_the_same_values() -> None:
    assert set(_schema_paths(SCHEMA)) - {"global"} == set(_value_paths(VALUES))


@pytest.mark.parametrize(
    ("path", "schema"), [pytest.param(path, schema, id=path or "/") for path, schema in _objects_of_the_schema(SCHEMA)]
)
def test_no_object_of_the_schema_takes_unknown_names(path: str, schema: dict[str, Any]) -> None:
    assert schema.get("additionalProperties") is False
