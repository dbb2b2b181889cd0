"""Which addresses strangers may send us to."""

import asyncio
from threading import Event

import pytest

from postern_sidecar.facade.public_addresses import Address, Resolver, is_public, look_up


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "223.255.255.255",
        "2606:4700::6810:84e5",
        "2a00:1450:4001:80b::200e",
        "2001:4860:4860::8888",
        "2600::1",
    ],
)
def test_address_of_the_public_internet_may_be_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "::8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:7f00:1::",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fdff::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0/x",
        "fec0::1",
        "ff02::1",
        "",
        "localhost",
        "8.8.8",
        "8.8.8.8.8",
        "08.8.8.8",
        "0x8.8.8.8",
        "134744072",
        "8.8.8.8 ",
        "8.8.8.8/32",
        "[::1]",
    ],
)
def test_every_other_address_is_refused(address: str) -> None:
    assert not is_public(address)


async def test_names_are_looked_up_as_complete_so_that_no_search_list_finds_them_in_the_cluster() -> None:
    asked: list[str] = []

    def look_up_there(name: str) -> list[Address]:
        asked.append(name)
        return [("8.8.8.8", 443)]

    assert await Resolver(look_up_there)("kubernetes.default") == [("8.8.8.8", 443)]
    assert asked == ["kubernetes.default."]


def test_system_gives_addresses_with_the_port_of_https() -> None:
    assert look_up("127.0.0.1") == [("127.0.0.1", 443)]
    assert look_up("::1") == [("::1", 443)]


async def test_name_servers_that_never_answer_hold_up_nobody_elses_lookups() -> None:
    asked, answered = Event(), Event()

    def hang(_name: str) -> list[Address]:
        asked.set()
        answered.wait(30)
        return []

    resolver = Resolver(hang)
    hanging = [asyncio.ensure_future(resolver(f"h{i}.example.com")) for i in range(100)]
    async with asyncio.timeout(5):
        while not asked.is_set():
            await asyncio.sleep(0)
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 443)
    assert not any(future.done() for future in hanging)
    answered.set()
    await asyncio.gather(*hanging)
