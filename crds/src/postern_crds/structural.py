"""Models to the structural OpenAPI schema of a CustomResourceDefinition: defaults, descriptions and rules included."""

from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct

from postern_crds.rules import RULES, Rule
from postern_crds.status import PolicyStatus
from postern_crds.v1alpha1 import GROUP, KIND, PLURAL, VERSION, PolicySpec

__all__ = ["custom_resource_definition", "object_schema"]

Schema = dict[str, Any]
_QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_KEPT = {
    "type", "description", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
}  # fmt: skip
_COLUMNS = (
    ("Mode", "string", ".spec.mode", 0),
    ("Provider", "string", ".status.provider", 0),
    ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status", 0),
    ("Targets", "string", ".status.readyTargets", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Resource", "string", ".spec.resource.url", 1),
    ("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason", 1),
)


def _plain(node: Schema, components: dict[str, Schema]) -> Schema:
    """Give a node without references, unions and whatever else the API server does not take."""
    if "$ref" in node:
        target = _plain(components[node["$ref"].rsplit("/", 1)[1]], components)
        return target | ({"description": node["description"]} if "description" in node else {})
    out = {k: v for k, v in node.items() if k in _KEPT}
    branches = [b for b in node.get("anyOf", []) if b != {"type": "null"}]
    if len(branches) == 1:
        return _plain(branches[0], components) | out
    if branches:
        return out | {"x-kubernetes-int-or-string": True}
    if "enum" in node:
        out["type"] = "string"
    if "items" in node:
        out["items"] = _plain(node["items"], components)
    if isinstance(node.get("additionalProperties"), dict):
        out["additionalProperties"] = _map_value(_plain(node["additionalProperties"], components))
    if "properties" in node:
        out["properties"] = {name: _plain(child, components) for name, child in node["properties"].items()}
        if node.get("required"):
            out["required"] = node["required"]
    return out


def _map_value(schema: Schema) -> Schema:
    """Give the schema of a map's values; those that may be numbers are quantities."""
    is_quantity = schema.get("x-kubernetes-int-or-string", False)
    return schema | ({"pattern": _QUANTITY, "maxLength": 32} if is_quantity else {})


def _add_defaults(schema: Schema, model: type[Struct]) -> None:
    """Write each field's default beside it, so that the API server fills it in."""
    for info in msgspec.structs.fields(model):
        child = schema["properties"][info.encode_name]
        inner = next((t for t in (info.type, *getattr(info.type, "__args__", ())) if _is_model(t)), None)
        inner = inner or next(
            (t for a in getattr(info.type, "__args__", ()) for t in getattr(a, "__args__", ()) if _is_model(t)), None
        )
        if info.default_factory is not NODEFAULT:
            child["default"] = {} if "properties" in child else msgspec.to_builtins(info.default_factory())
        elif info.default is not NODEFAULT and info.default is not None:
            child["default"] = info.default
        if inner is not None:
            _add_defaults(child.get("items", child), inner)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _model_schema(model: type[Struct], *, defaults: bool) -> Schema:
    (root,), components = msgspec.json.schema_components([model])
    schema = _plain(root, components)
    if defaults:
        _add_defaults(schema, model)
    return schema


def _place(schema: Schema, rule: Rule) -> None:
    node = schema
    for part in rule.path.split(".") if rule.path else []:
        node = node["properties"][part]
    entry = {
        "rule": rule.expression,
        "message": f"{rule.path.removeprefix('spec.') + ': ' if rule.path else ''}{rule.message}",
    }
    node.setdefault("x-kubernetes-validations", []).append(entry)


def object_schema() -> Schema:
    """Give the schema of a whole McpAuthPolicy object, rules in place."""
    schema: Schema = {
        "type": "object",
        "description": "McpAuthPolicy puts OAuth in front of an MCP server: name it in the annotation postern.dev/policy of a workload.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _model_schema(PolicySpec, defaults=True),
            "status": _model_schema(PolicyStatus, defaults=False),
        },
    }
    for rule in RULES:
        _place(schema, rule)
    return schema


def _stored(node: Any) -> Any:
    """Give a schema as the API server stores it: without empty ``properties``.

    With them, nobody else than who applied the definition first could apply the same one again: not Helm after kubectl.
    """
    if isinstance(node, dict):
        return {name: _stored(child) for name, child in node.items() if name != "properties" or child}
    return [_stored(child) for child in node] if isinstance(node, list) else node


def custom_resource_definition() -> Schema:
    """Give the CustomResourceDefinition object."""
    columns = [
        {"name": n, "type": t, "jsonPath": p, **({"priority": prio} if prio else {})} for n, t, p, prio in _COLUMNS
    ]
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _stored(object_schema())},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": ["mcpauth"],
        "categories": ["mcp"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
