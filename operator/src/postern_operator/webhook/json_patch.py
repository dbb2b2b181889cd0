"""Two JSON documents to the patch between them: this module is RFC 6902, as far as a mutating webhook needs it."""

from collections.abc import Iterator
from typing import Any

__all__ = ["difference"]


def difference(before: Any, after: Any) -> list[dict[str, Any]]:
    """List the operations (add, replace, remove) that turn ``before`` into ``after``; empty when they are equal.

    Objects are compared member by member, arrays of the same length element by element; an array that grew or shrank is
    replaced whole, so that no index depends on another operation.
    """
    return list(_walk(before, after, ""))


def _walk(before: Any, after: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() - after.keys():
            yield {"op": "remove", "path": f"{path}/{_escape(key)}"}
        for key, value in after.items():
            if key in before:
                yield from _walk(before[key], value, f"{path}/{_escape(key)}")
            else:
                yield {"op": "add", "path": f"{path}/{_escape(key)}", "value": value}
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _walk(one, other, f"{path}/{i}")
    elif before != after or type(before) is not type(after):
        yield {"op": "replace", "path": path, "value": after}


def _escape(key: str) -> str:
    """Write a member name as a reference token (RFC 6901 section 3)."""
    return key.replace("~", "~0").replace("/", "~1")
