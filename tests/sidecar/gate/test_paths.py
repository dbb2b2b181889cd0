import posixpath
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar.gate.paths import Paths, is_ambiguous
from tests.support.policies import make_config


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"*",
        b"mcp",
        b"http://x/mcp",
        b"//",
        b"/a//b",
        b"/a/./b",
        b"/a/../b",
        b"/..",
        b"/.",
        b"/a/%2e/b",
        b"/a/%2E%2e/b",
        b"/a/.%2e/b",
        b"/a/%252e%252e/b",
        b"/a/..;/b",
        b"/a/.;x=y/b",
        b"/a/%2e%2e;x/b",
        b"/a%2fb",
        b"/a%2Fb",
        b"/a%252fb",
        b"/a\\b",
        b"/a%5cb",
        b"/a%255Cb",
        b"/a%00",
        b"/a%2500",
        b"/a%0d%0aX",
        b"/a%7f",
        b"/a b",
        b"/a\tb",
        b"/a\nb",
        b"/a\x00",
        b"/\xc3\xa9",
        b"/a%",
        b"/a%2",
        b"/a%zz",
        b"/a/%c0%ae%c0%ae/b",
        b"/a%c0%afb",
        b"/a%25c0%25af",
        b"/a#b",
        b"/a?b",
    ],
)
def test_path_with_two_readings_is_ambiguous(path: bytes) -> None:
    assert is_ambiguous(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/mcp",
        b"/mcp/",
        b"/a.b/c..d/...",
        b"/.well-known/x",
        b"/%C3%A9",
        b"/a%20b",
        b"/50%25",
        b"/a;v=1/b",
        b"/~",
    ],
)
def test_plain_path_is_not(path: bytes) -> None:
    assert not is_ambiguous(path)


SEGMENTS = st.lists(
    st.sampled_from(["..", ".", "", "%2e", "%2E%2e", "%2f", "%5C", "a", "mcp", "%252e", ";x", "..;", "public"]),
    min_size=1,
    max_size=6,
)


@given(SEGMENTS)
def test_unambiguous_path_stays_where_it_seems_however_often_it_is_decoded(segments: list[str]) -> None:
    path = ("/" + "/".join(segments)).encode()
    if is_ambiguous(path):
        return
    for _ in range(3):
        assert posixpath.normpath(path) == (path.rstrip(b"/") or b"/")
        path = unquote_to_bytes(path)


@given(SEGMENTS)
def test_public_prefix_never_leads_to_the_endpoint(segments: list[str]) -> None:
    paths = Paths(make_config(server={"public_paths": ("/public/*",)}))
    path = ("/public/" + "/".join(segments)).encode()
    if is_ambiguous(path) or not paths.is_public(path):
        return
    decoded = unquote_to_bytes(unquote_to_bytes(path)).replace(b"\\", b"/")
    assert posixpath.normpath(decoded).startswith(b"/public")


@pytest.mark.parametrize(
    ("resource", "server", "sent", "target"),
    [
        (b"/mcp", b"/mcp", b"/mcp", b"/mcp"),
        (b"/mcp", b"/mcp", b"/mcp/", b"/mcp/"),
        (b"/mcp", b"/", b"/mcp", b"/"),
        (b"/mcp", b"/", b"/mcp/", b"/"),
        (b"/", b"/mcp", b"/", b"/mcp"),
        (b"/w/mcp", b"/mcp", b"/w/mcp", b"/mcp"),
        (b"/w/mcp", b"/mcp", b"/w/mcp/x", b"/w/mcp/x"),
        (b"/w/mcp", b"/mcp", b"/mcp", b"/mcp"),
        (b"/mcp", b"/api/", b"/mcp", b"/api/"),
        (b"/mcp", b"/api/", b"/mcp/", b"/api/"),
    ],
)
def test_only_the_endpoint_is_mapped(resource: bytes, server: bytes, sent: bytes, target: bytes) -> None:
    paths = Paths(make_config(resource={"path": resource.decode()}, server={"path": server.decode()}))
    assert paths.target(sent) == target
