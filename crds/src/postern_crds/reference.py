"""The policy's fields as a page of Markdown, from the schema: ``python -m postern_crds.reference [FILE]``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from postern_crds.structural import Schema, object_schema

__all__ = ["page"]

_HEAD = """\
<!-- Generated from crds/src/postern_crds by `make generate`; do not edit. -->
# McpAuthPolicy, field by field

Every field below is in force in this version; the API server refuses unknown ones. `kubectl explain mcpauthpolicy.spec` shows the
same. **Bold** fields are required.

| field | type | default | what it does |
|---|---|---|---|
"""


def page() -> str:
    """Give the whole page: fields, then the rules that the API server checks."""
    schema = object_schema()
    spec = schema["properties"]["spec"]
    rows = "".join(_rows(spec, "spec"))
    rules = "".join(f"- {text}\n" for text in _rules(schema))
    status = "".join(_rows(schema["properties"]["status"], "status"))
    return f"{_HEAD}{rows}\n## Rules\n\n{rules}\n## Status\n\n| field | type | default | what it says |\n|---|---|---|---|\n{status}"


def _rows(schema: Schema, path: str) -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        shown = f"**`{here}`**" if name in schema.get("required", []) else f"`{here}`"
        default = child.get("default")
        told = "" if default in (None, "", {}, []) else f"`{json.dumps(default, ensure_ascii=False)}`"
        text = child.get("description", "").replace("|", "\\|")
        yield f"| {shown} | {_type(child)} | {told} | {text} |\n"
        yield from _rows(child, here)
        if "properties" in child.get("items", {}):
            yield from _rows(child["items"], f"{here}[]")


def _type(schema: Schema) -> str:
    if "enum" in schema:
        return " \\| ".join(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    kind: str = schema.get("type", "")
    return f"{kind} of {_type(schema['items'])}" if kind == "array" else kind


def _rules(schema: Schema) -> Iterator[str]:
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", []))
    for child in schema.get("properties", {}).values():
        yield from _rules(child)


def main() -> None:
    """Write the page."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main()
