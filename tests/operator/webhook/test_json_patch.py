"""Differences of JSON documents, applied by an independent library."""

from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_operator.webhook.json_patch import difference

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "~", "/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "~1", "a/b", "~"]), inner),
    max_leaves=8,
)


@given(before=_JSON, after=_JSON)
def test_patch_turns_one_document_into_the_other(before: Any, after: Any) -> None:
    patched = jsonpatch.apply_patch({"x": before}, difference({"x": before}, {"x": after}))

    assert repr(_sorted(patched)) == repr(_sorted({"x": after}))


@given(document=_JSON)
def test_equal_documents_need_no_operation(document: Any) -> None:
    assert difference(document, document) == []


def test_name_with_slash_and_tilde_is_escaped() -> None:
    assert difference({}, {"postern.dev/a~b": 1}) == [{"op": "add", "path": "/postern.dev~1a~0b", "value": 1}]


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, [{"op": "replace", "path": "/a/1", "value": 3}]),
        ({"a": [1]}, {"a": [1, 3]}, [{"op": "replace", "path": "/a", "value": [1, 3]}]),
        ({"a": 1}, {}, [{"op": "remove", "path": "/a"}]),
        ({"a": True}, {"a": 1}, [{"op": "replace", "path": "/a", "value": 1}]),
    ],
)
def test_operations_are_as_small_as_safe(before: Any, after: Any, operations: list[dict[str, Any]]) -> None:
    assert difference(before, after) == operations


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
