import msgspec
import pytest

from postern_sidecar.discovery.locations import Location, Locations
from tests.support.policies import make_config

WELL_KNOWN = "/.well-known/"
PRM = f"{WELL_KNOWN}oauth-protected-resource"
AS = f"{WELL_KNOWN}oauth-authorization-server"
OIDC = f"{WELL_KNOWN}openid-configuration"


def locations(path: str, prefix: str = "") -> Locations:
    return Locations(msgspec.structs.replace(make_config().resource, path=path, prefix=prefix))


@pytest.mark.parametrize(
    ("path", "prefix", "found"),
    [
        pytest.param("/mcp", "", ["", "/mcp", "/mcp/"], id="whole-host"),
        pytest.param("/", "", ["", "/"], id="root"),
        pytest.param("/a/b/mcp", "", ["", "/a/b/mcp"], id="deep"),
        pytest.param("/weather/mcp", "/weather", ["", "/weather/mcp"], id="prefix"),
    ],
)
def test_documents_are_at_the_root_and_inserted(path: str, prefix: str, found: list[str]) -> None:
    """SPEC 14, RFC 9728 section 3.1."""
    known = locations(path, prefix)
    for suffix in found:
        assert known.find(f"{PRM}{suffix}".encode()) is Location.RESOURCE_METADATA
        assert known.find(f"{AS}{suffix}".encode()) is Location.SERVER_METADATA
        assert known.find(f"{OIDC}{suffix}".encode()) is Location.SERVER_METADATA


@pytest.mark.parametrize("suffix", ["", "/mcp", "/weather/mcp"])
def test_documents_are_under_the_prefix_too(suffix: str) -> None:
    known = locations("/weather/mcp", "/weather")
    assert known.find(f"/weather{PRM}{suffix}".encode()) is Location.RESOURCE_METADATA
    assert known.find(f"/weather{AS}{suffix}".encode()) is Location.SERVER_METADATA


@pytest.mark.parametrize("path", [f"{PRM}/x", f"/weather{PRM}/x", f"{WELL_KNOWN}oauth-", f"/weather{OIDC}.json"])
def test_rest_of_discovery_is_ours_but_empty(path: str) -> None:
    assert locations("/weather/mcp", "/weather").find(path.encode()) is Location.NOTHING


@pytest.mark.parametrize("path", ["/mcp", "/.well-known/security.txt", f"/other{PRM}", "/", f"/mcp{OIDC}"])
def test_other_paths_are_not_ours(path: str) -> None:
    assert locations("/mcp").find(path.encode()) is None
