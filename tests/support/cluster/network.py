"""The addresses of a cluster: all of them follow from its index, so clusters with different ones live side by side."""

from dataclasses import dataclass
from ipaddress import ip_network

LARGEST_INDEX = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One address family: the two ends of the link between machine and node, and the two networks behind it."""

    machine: str
    node: str
    prefix: int
    pods: str
    services: str

    @property
    def address_options(self) -> tuple[str, ...]:
        """For ``ip address add``: an IPv6 address is used at once, nobody else can have it."""
        return ("nodad",) if ":" in self.node else ()

    def service(self, number: int) -> str:
        """The address of the Service with this number; 1 is the API server's."""
        return str(ip_network(self.services)[number])


@dataclass(frozen=True, slots=True)
class Network:
    """Both families; IPv4 is the primary one, as Kubernetes takes the first of each pair."""

    ipv4: Family
    ipv6: Family

    @property
    def families(self) -> tuple[Family, Family]:
        return (self.ipv4, self.ipv6)

    @property
    def pods(self) -> str:
        return ",".join(family.pods for family in self.families)

    @property
    def services(self) -> str:
        return ",".join(family.services for family in self.families)

    @property
    def nodes(self) -> str:
        return ",".join(family.node for family in self.families)

    @property
    def api_url(self) -> str:
        return f"https://{self.ipv4.node}:6443"

    @property
    def dns(self) -> str:
        """The ClusterIP of the cluster's DNS."""
        return self.ipv4.service(10)


def plan_network(index: int) -> Network:
    """The network number ``index``: private IPv4 addresses and unique local IPv6 ones (RFC 4193)."""
    if not 1 <= index <= LARGEST_INDEX:
        raise ValueError(f"a cluster's index is a number from 1 to {LARGEST_INDEX}, not {index}")
    return Network(
        ipv4=Family(
            machine=f"10.200.{index}.1",
            node=f"10.200.{index}.2",
            prefix=30,
            pods=f"10.201.{index}.0/24",
            services=f"10.202.{index}.0/24",
        ),
        ipv6=Family(
            machine=f"fd00:10:200:{index}::1",
            node=f"fd00:10:200:{index}::2",
            prefix=64,
            pods=f"fd00:10:201:{index}::/64",
            services=f"fd00:10:202:{index}::/112",
        ),
    )
