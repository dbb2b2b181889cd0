import pytest

from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.resources import resolve
from tests.support.policies import RESOURCE_URL, make_proxy_config


@pytest.mark.parametrize(
    "value",
    [
        None,
        RESOURCE_URL,
        RESOURCE_URL + "/",
        "HTTPS://MCP.Example.COM/mcp",
        "https://mcp.example.com",
        "https://mcp.example.com/",
        "HTTPS://MCP.EXAMPLE.COM",
    ],
)
def test_our_resource_is_known_in_the_forms_that_clients_send(value: str | None) -> None:
    assert resolve(value, make_proxy_config()) == RESOURCE_URL


@pytest.mark.parametrize(
    "value",
    [
        "https://mcp.example.com/MCP",
        "https://mcp.example.com/mcp//",
        "https://mcp.example.com//",
        "https://mcp.example.com/mcp/admin",
        "https://mcp.example.com/mc",
        "https://mcp.example.com/other",
        "https://mcp.example.com:8443/mcp",
        "https://mcp.example.com/mcp?x=1",
        "https://mcp.example.com/mcp#x",
        "https://mcp.example.com?x",
        "http://mcp.example.com/mcp",
        "https://mcp.example.com.evil.org/mcp",
        "https://user@mcp.example.com/mcp",
        "https://mcp.example.com\\mcp",
        "https://mcp.example.com/mcp\n",
        "https://mcp.example.com/mcp ",
        "https://mcp.example.com/%6dcp",
        "https:mcp.example.com/mcp",
        "mcp.example.com/mcp",
        "/mcp",
        "",
        "http\N{LATIN SMALL LETTER LONG S}://mcp.example.com/mcp",
    ],
)
def test_every_other_resource_is_an_invalid_target(value: str) -> None:
    with pytest.raises(OAuthFault) as refusal:
        resolve(value, make_proxy_config())
    assert refusal.value.error == "invalid_target"


def test_a_letter_that_becomes_ascii_in_lower_case_names_nobody() -> None:
    config = make_proxy_config(resource={"url": "https://kiosk.example.com/mcp"})
    with pytest.raises(OAuthFault):
        resolve("https://\N{KELVIN SIGN}iosk.example.com/mcp", config)


def test_resource_at_the_root_is_known_with_and_without_its_slash() -> None:
    config = make_proxy_config(resource={"url": "https://mcp.example.com/"})
    for value in ("https://mcp.example.com", "https://mcp.example.com/", "https://MCP.example.com/"):
        assert resolve(value, config) == "https://mcp.example.com/"
