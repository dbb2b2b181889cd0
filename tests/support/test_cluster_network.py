"""The addresses of clusters: right for Kubernetes, and apart from each other."""

from ipaddress import ip_address, ip_network
from itertools import combinations
from pathlib import Path

import pytest

from tests.support.cluster.network import Network, plan_network
from tests.support.cluster.plan import make_plan
from tests.support.images.errors import SetupError

SERVICE_BITS_LIMIT = 20
"""The API server takes no Service network with more address bits."""


def networks_of(network: Network) -> list[str]:
    links = [f"{family.node}/{family.prefix}" for family in network.families]
    return [*links, *network.pods.split(","), *network.services.split(",")]


@pytest.mark.parametrize("index", [1, 2, 254])
def test_ipv4_is_the_primary_family(index: int) -> None:
    network = plan_network(index)

    for pair in (network.pods, network.services):
        assert [ip_network(word).version for word in pair.split(",")] == [4, 6]
    assert [ip_address(word).version for word in network.nodes.split(",")] == [4, 6]


def test_every_address_is_private() -> None:
    for word in networks_of(plan_network(254)):
        assert ip_network(word, strict=False).is_private


def test_service_networks_are_small_enough_for_the_api_server() -> None:
    for word in plan_network(1).services.split(","):
        network = ip_network(word)
        assert network.max_prefixlen - network.prefixlen <= SERVICE_BITS_LIMIT


def test_networks_of_different_clusters_do_not_overlap() -> None:
    words = [word for index in (1, 2, 12, 120) for word in networks_of(plan_network(index))]
    for first, second in combinations([ip_network(word, strict=False) for word in words], 2):
        assert first.version != second.version or not first.overlaps(second)


def test_machine_and_node_share_the_link() -> None:
    for family in plan_network(3).families:
        link = ip_network(f"{family.node}/{family.prefix}", strict=False)
        assert ip_address(family.machine) in link
        assert family.machine != family.node


def test_dns_and_api_have_fixed_numbers_in_the_service_network() -> None:
    network = plan_network(7)

    assert network.dns == "10.202.7.10"
    assert [family.service(1) for family in network.families] == ["10.202.7.1", "fd00:10:202:7::1"]


@pytest.mark.parametrize("index", [0, 255, -1])
def test_index_out_of_range_is_refused(index: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 254"):
        plan_network(index)


@pytest.mark.parametrize("name", ["", "Postern", "a-b", "../x", "elevenchars", "1st"])
def test_name_that_is_no_interface_name_is_refused(name: str) -> None:
    with pytest.raises(SetupError, match="no name for a cluster"):
        make_plan(name, 1, Path("/cache/bin"))
