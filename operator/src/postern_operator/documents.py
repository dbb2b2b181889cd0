"""YAML files that people hand to the command line: this module reads them and says what is wrong with them."""

import sys
from pathlib import Path
from typing import Any

import yaml

from postern_operator.errors import PosternError

__all__ = ["POD_KINDS", "InputError", "pod_of", "read"]

POD_KINDS = ("Pod", "Deployment", "StatefulSet", "DaemonSet")


class InputError(PosternError):
    """Raised when a file cannot be read as what it should be; exit code 2."""


def read(source: str, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Give the one object of these kinds in a file of YAML documents; '-' is standard input.

    Raises InputError: unreadable, not YAML, none or several such objects.
    """
    wanted = " or ".join(kinds)
    found = [d for d in _documents(source) if isinstance(d, dict) and d.get("kind") in kinds]
    if len(found) != 1:
        count = "several objects" if found else "no object"
        raise InputError(f"{_name(source)}: {count} of kind {wanted} found; give a file with exactly one")
    return found[0]


def pod_of(subject: dict[str, Any], source: str) -> dict[str, Any]:
    """Give a pod or workload that has the form which the API server would have seen to. Raises InputError."""
    is_pod = subject["kind"] == "Pod"
    holder = subject if is_pod else _mapping(subject, "spec", "", source).get("template")
    path = "" if is_pod else "spec.template"
    if not isinstance(holder, dict):
        raise InputError(f"{_name(source)}: {path}: must be an object")
    spec = _mapping(holder, "spec", path, source)
    if not spec.get("containers"):
        raise InputError(f"{_name(source)}: {_join(path, 'spec.containers')}: is required")
    for field in ("containers", "initContainers", "volumes"):
        items = spec.get(field) or []
        if not isinstance(items, list) or not all(
            isinstance(i, dict) and isinstance(i.get("name"), str) for i in items
        ):
            raise InputError(f"{_name(source)}: {_join(path, 'spec.' + field)}: must be a list of objects with a name")
    return {**subject, "metadata": _mapping({"metadata": {}, **subject}, "metadata", "", source)}


def _documents(source: str) -> list[Any]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        return list(yaml.safe_load_all(text))
    except OSError as e:
        raise InputError(f"{_name(source)}: cannot be read: {e.strerror}") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise InputError(f"{_name(source)}: is not YAML: {' '.join(str(e).split())}") from e


def _mapping(holder: dict[str, Any], field: str, path: str, source: str) -> dict[str, Any]:
    value = holder.get(field)
    if not isinstance(value, dict):
        raise InputError(f"{_name(source)}: {_join(path, field)}: must be an object")
    return value


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _name(source: str) -> str:
    return "standard input" if source == "-" else source
