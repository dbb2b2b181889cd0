import pytest

from postern_sidecar.gate.hosts import Hosts
from postern_sidecar.outcome import Reason
from tests.support.policies import make_config


def check(host: str, *, url: str = "https://mcp.example.com/mcp", allowed: tuple[str, ...] = ()) -> Reason | None:
    config = make_config(resource={"url": url}, server={"allowed_hosts": allowed})
    return Hosts(config, "team-a").check([host.encode()])


@pytest.mark.parametrize(
    "host",
    [
        "mcp.example.com",
        "MCP.Example.Com",
        "mcp.example.com:443",
        "localhost",
        "localhost:3000",
        "127.0.0.1:19871",
        "10.1.2.3",
        "[::1]:80",
        "[fd00::1]",
        "weather",
        "weather:8080",
        "weather.team-a.svc",
        "weather.team-a.svc:8080",
        "weather.team-a.svc.cluster.local",
        "weather.team-a.svc.cluster.local.:80",
        "weather-0.weather.team-a.svc.k8s.internal",
    ],
)
def test_name_that_no_attacker_can_own_is_accepted(host: str) -> None:
    """SPEC 67."""
    assert check(host) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "mcp.example.com.evil.example",
        "mcp.example.com:8443",
        "xmcp.example.com",
        "weather.team-b.svc",
        "weather.team-a",
        "weather.team-a.svc.evil.com",
        "weather.team-a.svcx.local",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "1.2.3",
        "[abc]",
        ".",
    ],
)
def test_name_that_could_be_rebound_is_misdirected(host: str) -> None:
    assert check(host) is Reason.MISDIRECTED_HOST


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a,b", "user@mcp.example.com", "a:b", "a:", "[::1", "a:1:2", "ä"])
def test_broken_value_is_malformed(host: str) -> None:
    assert check(host) is Reason.MALFORMED_HOST


@pytest.mark.parametrize("values", [[], [b"mcp.example.com", b"mcp.example.com"]])
def test_exactly_one_host_is_required(values: list[bytes]) -> None:
    """RFC 9112 section 3.2."""
    assert Hosts(make_config(), "").check(values) is Reason.MALFORMED_HOST


@pytest.mark.parametrize(
    ("entry", "host", "accepted"),
    [
        ("other.example", "other.example", True),
        ("other.example", "other.example:8443", True),
        ("other.example:8443", "OTHER.example:8443", True),
        ("other.example:8443", "other.example", False),
        ("other.example:443", "other.example", True),
        ("*", "anything.example:1", True),
    ],
)
def test_further_hosts_can_be_allowed(entry: str, host: str, accepted: bool) -> None:
    assert check(host, allowed=(entry,)) is (None if accepted else Reason.MISDIRECTED_HOST)


def test_any_host_is_still_one_well_formed_host() -> None:
    assert check("a b", allowed=("*",)) is Reason.MALFORMED_HOST


def test_port_of_the_resource_counts() -> None:
    url = "https://mcp.example.com:8443/mcp"
    assert check("mcp.example.com:8443", url=url) is None
    assert check("mcp.example.com", url=url) is Reason.MISDIRECTED_HOST


def test_outside_a_cluster_there_are_no_service_names() -> None:
    assert Hosts(make_config(), "").check([b"weather.team-a.svc"]) is Reason.MISDIRECTED_HOST
