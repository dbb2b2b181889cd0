import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar.gate.challenge import challenge
from postern_sidecar.outcome import Reason, verdict

URL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
# RFC 6749 section 3.3, without '=': a scope that looks like a parameter is its owner's own trap.
SCOPE_CHARACTERS = st.characters(codec="ascii", exclude_characters='"\\= ', categories=["L", "N", "P", "S"])
SCOPES = st.lists(st.text(SCOPE_CHARACTERS, min_size=1, max_size=20), max_size=5)
CHALLENGED = [reason for reason in Reason if verdict(reason).status in (401, 403)]


def read(header: bytes, name: str) -> str | None:
    """Reads a parameter as the SDKs do: the first match anywhere, quoted or bare."""
    match = re.search(rf'{name}=(?:"([^"]+)"|([^\s,]+))', header.decode())
    return None if match is None else match.group(1) or match.group(2)


@given(st.sampled_from(CHALLENGED), SCOPES, st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=20))
def test_clients_read_back_what_was_meant(reason: Reason, scopes: list[str], path: str) -> None:
    """SPEC 32."""
    header = challenge(reason, f"{URL}/{path}", scopes)
    assert header.startswith(b"Bearer ")
    assert b"\\" not in header
    assert header.count(b"Bearer") == 1 + " ".join(scopes).count("Bearer") + path.count("Bearer")
    assert read(header, "resource_metadata") == f"{URL}/{path}"
    assert read(header, "scope") == (" ".join(scopes) or None)
    assert read(header, "error") == verdict(reason).error


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=5))
def test_nothing_breaks_out_of_the_header(url: str, scopes: list[str]) -> None:
    header = challenge(Reason.EXPIRED, url, scopes)
    assert all(0x20 <= byte < 0x7F for byte in header)
    assert re.fullmatch(rb'Bearer [a-z_]+="[^"\\]*"(, [a-z_]+="[^"\\]*")*', header)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_public_text_fits_into_a_quoted_string(reason: Reason) -> None:
    """RFC 6750 section 3."""
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", verdict(reason).text)


def test_url_cannot_pass_for_a_scope() -> None:
    header = challenge(Reason.EXPIRED, f"{URL}/scope=admin,error=x", ("read",))
    assert (read(header, "scope"), read(header, "error")) == ("read", "invalid_token")
