"""Where strangers may send us: this module tells addresses of the public internet from all others.

Whoever names a client document makes us call a host of his choice (SPEC 36), so only what everybody could call anyway
is called: nothing of the cluster, the node, its cloud, or behind a translator of addresses.
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = ["Address", "Resolver", "is_public", "look_up"]

Address = tuple[str, int]
"""IP address and port."""

# Written out instead of ip_address().is_global, whose answers differ between releases of Python, and which takes the
# addresses of translators for public ones. (RFC 6890 and the IANA special-purpose registries.)
_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; Linux connects to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers, and pods in some clouds
        "127.0.0.0/8",
        "168.63.129.16/32",  # the host agent of Azure
        "169.254.0.0/16",  # link-local, with the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_MAX_LOOKUPS = 8
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols, among them Teredo
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    try:
        return _is_public_4(IPv4Address(address))
    except AddressValueError:
        pass
    try:
        return _is_public_6(IPv6Address(address))
    except AddressValueError:
        return False


def look_up(name: str) -> list[Address]:
    """Give what the system knows, blocking. Raises OSError when there is no address."""
    found = socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)
    return [(str(address[0]), int(address[1])) for *_, address in found]


class Resolver:
    """Asks the system for addresses; call it with a host."""

    def __init__(self, look_up: Callable[[str], list[Address]] = look_up) -> None:
        """Take the blocking look-up of a complete name."""
        self._look_up = look_up
        # Threads of its own: name servers that never answer must not hold up the lookups of the identity provider.
        self._threads = ThreadPoolExecutor(_MAX_LOOKUPS, thread_name_prefix="client-documents")

    async def __call__(self, host: str) -> list[Address]:
        """Give all addresses of an https host, in the order to try. Raises OSError when there is none.

        The name is taken as complete: the search list of a pod would try names inside the cluster first.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._look_up, f"{host}.")


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_4)


def _is_public_6(address: IPv6Address) -> bool:
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)
