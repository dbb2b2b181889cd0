import pytest

from postern_sidecar.gate.origins import Origins
from tests.support.policies import make_config

ALLOWED = ("https://app.example.com", "https://port.example.com:8443", "vscode-webview://panel")


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b"https://mcp.example.com"],
        [b"https://MCP.example.com"],
        [b"https://mcp.example.com:443"],
        [b"http://localhost"],
        [b"http://localhost:6274"],
        [b"https://127.0.0.1:1"],
        [b"http://127.9.9.9"],
        [b"http://[::1]:6274"],
        [b"https://app.example.com"],
        [b"https://port.example.com:8443"],
        [b"vscode-webview://panel"],
    ],
)
def test_known_origin_or_none_is_allowed(values: list[bytes]) -> None:
    """SPEC 66."""
    assert Origins(make_config(server={"allowed_origins": ALLOWED})).is_allowed(values)


@pytest.mark.parametrize(
    "values",
    [
        [b"null"],
        [b""],
        [b"https://evil.example"],
        [b"http://mcp.example.com"],
        [b"https://mcp.example.com:8443"],
        [b"https://mcp.example.com.evil.example"],
        [b"https://mcp.example.com/"],
        [b"http://localhost.evil.example"],
        [b"http://localhost:80@evil.example"],
        [b"http://127.0.0.1.evil.example"],
        [b"https://port.example.com"],
        [b"https://mcp.example.com", b"https://mcp.example.com"],
        [b"https://mcp.example.com https://evil.example"],
    ],
)
def test_any_other_origin_is_not(values: list[bytes]) -> None:
    assert not Origins(make_config(server={"allowed_origins": ALLOWED})).is_allowed(values)
