import json
import re
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_crds.sidecar_config import HeaderClaim
from postern_sidecar.tokens.claims import read_identity
from postern_sidecar.tokens.identity_headers import (
    MAX_ALL_BYTES,
    MAX_HEADER_BYTES,
    encode_list,
    encode_text,
    identity_headers,
    is_identity_header,
)
from tests.support.policies import make_config

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
EXTRA = (HeaderClaim("tenant.id", "X-Tenant"), HeaderClaim("flags", "X-Flags"))


def all_headers_of(token: dict[str, Any], **forward: Any) -> tuple[dict[bytes, bytes], list[str]]:
    config = make_config(forward=forward)
    kept, dropped = identity_headers(read_identity(token, config.claims), token, config.forward)
    return dict(kept), dropped


def headers_of(token: dict[str, Any], **forward: Any) -> tuple[dict[bytes, bytes], list[str]]:
    """All but the one that holds all claims."""
    kept, dropped = all_headers_of(token, **forward)
    kept.pop(b"x-mcp-claims", None)
    return kept, [name for name in dropped if name != "x-mcp-claims"]


@given(TEXTS)
def test_any_text_is_one_printable_line_and_can_be_read_back(text: str) -> None:
    encoded = encode_text(text)
    assert all(0x20 <= byte < 0x7F for byte in encoded)
    assert encoded == encoded.strip()
    assert unquote(encoded.decode()) == text


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=8))
def test_any_list_can_be_read_back_item_by_item(items: list[str]) -> None:
    assert [unquote(item) for item in encode_list(items).decode().split(",")] == items


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ('Alice (Ops), "x"', b'Alice (Ops), "x"'),
        ("a\r\nX-Mcp-Roles: admin", b"a%0D%0AX-Mcp-Roles: admin"),
        ("50%", b"50%25"),
        ("Zoë", b"Zo%C3%AB"),
        (" a ", b"%20a%20"),
        (" ", b"%20"),
    ],
)
def test_text_is_encoded_as_documented(text: str, encoded: bytes) -> None:
    assert encode_text(text) == encoded


def test_all_fields_become_headers() -> None:
    claims = {
        "sub": "u1",
        "email": "a@b.c",
        "name": "Alice",
        "preferred_username": "alice",
        "nickname": "al",
        "avatar_url": "https://x/y.png",
        "org_id": "o1",
        "roles": ["admin", "a,b"],
        "permissions": ["read"],
        "scope": "mcp:read mcp:write",
    }
    assert headers_of(claims)[0] == {
        b"x-mcp-user-id": b"u1",
        b"x-mcp-user-email": b"a@b.c",
        b"x-mcp-user-name": b"Alice",
        b"x-mcp-user-username": b"alice",
        b"x-mcp-user-nickname": b"al",
        b"x-mcp-user-picture": b"https://x/y.png",
        b"x-mcp-org-id": b"o1",
        b"x-mcp-roles": b"admin,a%2Cb",
        b"x-mcp-permissions": b"read",
        b"x-mcp-scopes": b"mcp:read,mcp:write",
    }


def test_what_a_token_does_not_say_has_no_header() -> None:
    assert headers_of({"sub": "u1", "name": "", "roles": []}) == ({b"x-mcp-user-id": b"u1"}, [])


def test_extra_claims_keep_their_type_as_json() -> None:
    claims = {"tenant": {"id": "t%1"}, "flags": {"beta": True, "n": [1, "ü"]}}
    found = headers_of(claims, identity_headers=False, claims=EXTRA)[0]
    assert found == {b"x-tenant": b"t%251", b"x-flags": b'{"beta":true,"n":[1,"\\u00fc"]}'}


def test_absent_and_null_extra_claims_have_no_header() -> None:
    assert headers_of({"flags": None}, identity_headers=False, claims=EXTRA) == ({}, [])


def test_all_claims_travel_as_base64url_json_without_what_only_the_protocol_needs() -> None:
    claims = {"sub": "u1", "name": "Zoë\r\nX-Mcp-Roles: admin", "realm_access": {"roles": ["a"]}, "exp": 5}
    secret = {"nonce": "n", "at_hash": "h", "c_hash": "h", "s_hash": "h", "jti": "j", "sid": "s"}
    value = all_headers_of({**claims, **secret})[0][b"x-mcp-claims"]
    assert re.fullmatch(rb"[A-Za-z0-9_-]+", value)
    assert json.loads(urlsafe_b64decode(value + b"=" * (-len(value) % 4))) == claims


def test_claims_that_are_too_many_for_their_header_are_dropped_and_named() -> None:
    found, dropped = all_headers_of({"sub": "u1", "groups": ["x" * 50] * 100})
    assert b"x-mcp-claims" not in found
    assert dropped == ["x-mcp-claims"]


def test_claims_are_the_first_to_go_when_there_is_not_room_for_all() -> None:
    long = "x" * 3000
    claims = {"sub": "u1", "org": {"a": long}} | {f"c{number}": long for number in range(5)}
    extra = tuple(HeaderClaim(f"c{number}", f"X-C{number}") for number in range(5))
    found, dropped = all_headers_of(claims, claims=extra)
    assert len([name for name in found if name.startswith(b"x-c")]) == 5
    assert dropped == ["x-mcp-claims"]


def test_claims_are_not_sent_without_identity_headers() -> None:
    assert all_headers_of({"sub": "u1"}, identity_headers=False) == ({}, [])


def test_value_that_is_too_long_is_dropped_whole_and_named() -> None:
    found, dropped = headers_of({"sub": "u1", "name": "x" * (MAX_HEADER_BYTES + 1)})
    assert (found, dropped) == ({b"x-mcp-user-id": b"u1"}, ["x-mcp-user-name"])


def test_all_headers_together_stay_within_their_bound() -> None:
    fields = ("sub", "email", "name", "username", "nickname", "picture")
    found, dropped = headers_of(dict.fromkeys(fields, "x" * MAX_HEADER_BYTES))
    assert sum(len(name) + len(value) for name, value in found.items()) <= MAX_ALL_BYTES
    assert len(found) + len(dropped) == len(fields)
    assert dropped


@pytest.mark.parametrize(
    "name",
    [
        b"x-mcp-user-id",
        b"X-MCP-User-ID",
        b"x_mcp_user_id",
        b"X_Mcp-Roles",
        b"x-mcp-user-anything",
        b"x-mcp-org-id",
        b"x-mcp-permissions",
        b"x-mcp-claims",
        b"x-tenant",
        b"X_TENANT",
    ],
)
def test_header_that_passes_for_an_identity_is_recognised(name: bytes) -> None:
    assert is_identity_header(name, make_config(forward={"claims": EXTRA, "identity_headers": False}))


@pytest.mark.parametrize("name", [b"mcp-session-id", b"x-mcp-header", b"x-mcp-user", b"authorization", b""])
def test_other_header_is_not(name: bytes) -> None:
    assert not is_identity_header(name, make_config(forward={"claims": EXTRA}))
