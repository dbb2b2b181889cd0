"""What the API server would say of a policy, for those who have none at hand: every fault with its field path."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from postern_crds.rules import RULES
from postern_crds.structural import Schema, object_schema
from postern_crds.v1alpha1 import GROUP, KIND, VERSION

__all__ = ["Fault", "faults", "with_defaults"]


class Fault(NamedTuple):
    """One thing that is wrong, and where."""

    path: str
    message: str


_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
}


def with_defaults(value: Any, schema: Schema) -> Any:
    """Give the value as the API server stores it: defaults of absent fields filled in."""
    if isinstance(value, dict) and "properties" in schema:
        filled = dict(value)
        for name, child in schema["properties"].items():
            if name not in filled and "default" in child:
                filled[name] = child["default"]
            if name in filled:
                filled[name] = with_defaults(filled[name], child)
        return filled
    if isinstance(value, list) and "items" in schema:
        return [with_defaults(item, schema["items"]) for item in value]
    return value


def _has_type(value: Any, schema: Schema) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        return isinstance(value, int | str) and not isinstance(value, bool)
    kind = schema.get("type")
    if kind is None:
        return True
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _bounds(value: Any, schema: Schema) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{value!r} is not one of {', '.join(schema['enum'])}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value, re.ASCII):
        yield f"{value!r} does not match {schema['pattern']}"
    if isinstance(value, int) and not _within(value, schema.get("minimum"), schema.get("maximum")):
        yield f"{value} is not between {schema['minimum']} and {schema['maximum']}"
    if isinstance(value, str | list | dict):
        low = schema.get("minLength", schema.get("minItems"))
        high = schema.get("maxLength", schema.get("maxItems", schema.get("maxProperties")))
        if not _within(len(value), low, high):
            yield f"has {len(value)} characters or items; allowed are {low or 0} to {high}"


def _within(size: int, low: int | None, high: int | None) -> bool:
    return (low is None or size >= low) and (high is None or size <= high)


def _walk(value: Any, schema: Schema, path: str) -> Iterator[Fault]:
    if not _has_type(value, schema):
        yield Fault(path, f"must be of type {schema.get('type', 'integer or string')}, not {type(value).__name__}")
        return
    yield from (Fault(path, message) for message in _bounds(value, schema))
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _walk(item, schema.get("items", {}), f"{path}[{i}]")
    elif isinstance(value, dict):
        known = schema.get("properties")
        for name in schema.get("required", []):
            if name not in value:
                yield Fault(f"{path}.{name}".lstrip("."), "is required")
        for name, child in value.items():
            inner = known.get(name) if known is not None else schema.get("additionalProperties", {})
            here = f"{path}.{name}".lstrip(".")
            if inner is None:
                yield Fault(here, "unknown field")
            else:
                yield from _walk(child, inner, here)


def _at(value: Any, path: str) -> Any:
    for part in path.split(".") if path else []:
        value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            return None
    return value


def _broken_rules(policy: dict[str, Any]) -> Iterator[Fault]:
    for rule in RULES:
        value = _at(policy, rule.path)
        if value is not None and rule.holds is not None and not rule.holds(value):
            yield Fault(rule.path or "metadata", rule.message)


@cache
def _stored_schema() -> Schema:
    schema = object_schema()
    # The API server fills metadata; nothing in it is ours to judge by type.
    return schema | {"properties": schema["properties"] | {"metadata": {"type": "object", "additionalProperties": {}}}}


def faults(policy: Any) -> list[Fault]:
    """List everything that is wrong with a policy, as parsed from YAML. Empty: it is accepted.

    Rules are judged only when types and required fields are right, as the API server does.
    """
    if not isinstance(policy, dict):
        return [Fault("", f"must be an object of kind {KIND}, not {type(policy).__name__}")]
    expected = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND}
    head = [Fault(k, f"must be {v}, not {policy.get(k)!r}") for k, v in expected.items() if policy.get(k) != v]
    metadata = policy.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        head.append(Fault("metadata.name", "is required"))
    if head:
        return head
    schema = _stored_schema()
    filled = with_defaults(policy, schema)
    wrong = list(_walk(filled, schema, ""))
    return wrong or list(_broken_rules(filled))
