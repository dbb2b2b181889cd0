"""The listening sockets."""

import socket

import pytest

from postern_sidecar.serving import bind
from postern_sidecar.settings import Address


def test_all_addresses_means_both_families_and_nobody_fits_beside_it() -> None:
    with bind(Address("::", 0)) as listening:
        port = listening.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=3).close()
        for host, family in (("0.0.0.0", socket.AF_INET), ("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)):
            with pytest.raises(OSError, match="in use"):
                socket.create_server((host, port), family=family)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))


def test_one_address_is_only_that_one() -> None:
    with bind(Address("127.0.0.1", 0)) as listening:
        assert listening.family is socket.AF_INET
    with bind(Address("::1", 0)) as listening, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", listening.getsockname()[1]), timeout=3)
