from typing import Any

import pytest

from postern_sidecar.tokens.claims import find, read_identity
from tests.support.policies import make_config

TABLE = make_config().claims


@pytest.mark.parametrize(
    ("claims", "name", "value"),
    [
        ({"https://x.com/roles": ["a"]}, "https://x.com/roles", ["a"]),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": {"b": {"c": 3}}}, "a.b.c", 3),
        ({"a": [1]}, "a.0", None),
        ({"a": "text"}, "a.b", None),
        ({}, "a", None),
    ],
)
def test_claim_is_found_by_its_literal_name_then_as_a_path(claims: dict[str, Any], name: str, value: object) -> None:
    assert find(claims, name) == value


@pytest.mark.parametrize(
    ("claims", "user_id"),
    [
        ({"sub": "a", "id": "b"}, "a"),
        ({"sub": "", "id": "b"}, "b"),
        ({"sub": None, "user_id": {"x": 1}, "id": "b"}, "b"),
        ({"sub": ["a"], "id": 12}, "12"),
        ({"user_id": True}, "true"),
        ({}, ""),
    ],
)
def test_first_usable_scalar_wins(claims: dict[str, Any], user_id: str) -> None:
    assert read_identity(claims, TABLE).user_id == user_id


@pytest.mark.parametrize(
    ("value", "permissions"),
    [
        (["a", "b"], ("a", "b")),
        ("admin-all", ()),
        (["a", 1], ()),
        ([], ()),
        ({"a": 1}, ()),
        (5, ()),
    ],
)
def test_permissions_are_an_array_of_strings_or_nothing(value: Any, permissions: tuple[str, ...]) -> None:
    assert read_identity({"permissions": value}, TABLE).permissions == permissions


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a b"}, ("a", "b")),
        ({"scope": ["a b", "c"]}, ("a b", "c")),
        ({"scope": "", "scp": ["c"]}, ("c",)),
        ({"scope": 7, "scp": "d"}, ("d",)),
        ({}, ()),
    ],
)
def test_scopes_are_a_string_or_an_array(claims: dict[str, Any], scopes: tuple[str, ...]) -> None:
    assert read_identity(claims, TABLE).scopes == scopes
