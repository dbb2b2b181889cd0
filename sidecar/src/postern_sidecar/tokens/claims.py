"""What a token says of its holder: this module is the claim table, applied.

Types are kept: a field never gets a value of a shape that its reader does not expect, so that a string is never taken
for a list of one-character permissions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from postern_crds.sidecar_config import ClaimTable

__all__ = ["Identity", "find", "read_identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The fields of the claim table; what a token does not say is empty."""

    user_id: str
    email: str
    name: str
    username: str
    nickname: str
    picture: str
    organization_id: str
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    scopes: tuple[str, ...]


def find(claims: Mapping[str, Any], name: str) -> object:
    """Look a claim up: by its literal name first ('https://x/roles'), then as a path of members ('realm_access.roles').

    None: there is none, or it is null.
    """
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def read_identity(claims: Mapping[str, Any], table: ClaimTable, granted: frozenset[str] | None = None) -> Identity:
    """Apply the table: for each field the first claim with a usable, non-empty value.

    granted: the token's scopes, when they are known otherwise than from its claims.
    """
    return Identity(
        user_id=_text(claims, table.user_id),
        email=_text(claims, table.email),
        name=_text(claims, table.name),
        username=_text(claims, table.username),
        nickname=_text(claims, table.nickname),
        picture=_text(claims, table.picture),
        organization_id=_text(claims, table.organization_id),
        roles=_texts(claims, table.roles),
        permissions=_texts(claims, table.permissions),
        scopes=_scopes(claims, table.scopes) if granted is None else tuple(sorted(granted)),
    )


def _text(claims: Mapping[str, Any], names: Sequence[str]) -> str:
    for name in names:
        value = find(claims, name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, bool | int | float):
            return json.dumps(value)
    return ""


def _texts(claims: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        value = find(claims, name)
        if _is_texts(value):
            return tuple(value)
    return ()


def _scopes(claims: Mapping[str, Any], names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        value = find(claims, name)
        if isinstance(value, str) and value.split():
            return tuple(value.split())
        if _is_texts(value):
            return tuple(value)
    return ()


def _is_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)
