"""The redirect in a real kernel: a pod and a client, each a network namespace of its own."""

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from threading import Event, Thread
from typing import TypeVar

import pytest

from postern_sidecar.capture import Rules, apply

pytestmark = pytest.mark.root

T = TypeVar("T")

RULES = Rules(guard=8000, listen=19871, health=19872, exempt=(9090,), uid=64321)
POD4, POD6 = "10.77.0.1", "fd77::1"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def enter(descriptor: int, uid: int) -> None:
    """Moves the calling thread into a namespace, and gives it another identity for what it opens."""
    if _LIBC.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    _LIBC.setfsuid(uid)


class Namespace:
    """A network namespace in which functions can be run; only the thread that runs one is in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        ip("netns", "add", name)
        self.run_command("ip", "link", "set", "lo", "up")

    def run_command(self, *command: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, *command], check=True, timeout=20)

    def call(self, function: Callable[[], T], *, uid: int = 0) -> T:
        """Runs function in here as uid, in the sense in which the kernel knows the owner of a socket."""
        result: Future[T] = Future()

        def target() -> None:
            descriptor = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                enter(descriptor, uid)
                result.set_result(function())
            except Exception as error:  # noqa: BLE001 - handed to the caller
                result.set_exception(error)
            finally:
                os.close(descriptor)

        thread = Thread(target=target)
        thread.start()
        thread.join(timeout=20)
        return result.result(timeout=0)

    def listen(self, port: int, name: str) -> "Named":
        """A server on all addresses that says its name."""
        return Named(
            self.call(lambda: socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)), name
        )

    def remove(self) -> None:
        ip("netns", "delete", self.name)


class Named:
    """Says its name to whoever connects, and counts them."""

    def __init__(self, listening: socket.socket, name: str) -> None:
        self.count = 0
        self._listening = listening
        self._name = name.encode()
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.count += 1
            with connection, suppress(OSError):
                connection.sendall(self._name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=20)


def ask(host: str, port: int, *, timeout: float = 3) -> str:
    """Who answers: a name, 'refused' or 'dropped'."""
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            return connection.recv(100).decode() or "closed"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "dropped"


class Pod:
    """A pod with the redirect in force, its servers, and a client outside."""

    def __init__(self, inside: Namespace, outside: Namespace) -> None:
        self.inside, self.outside = inside, outside
        self.app = inside.listen(8000, "app")
        self.proxy = inside.listen(19871, "proxy")
        self.others = [
            inside.listen(port, name) for port, name in ((19872, "health"), (9090, "exempt"), (5000, "debug"))
        ]

    def from_outside(self, host: str, port: int, *, timeout: float = 3) -> str:
        return self.outside.call(lambda: ask(host, port, timeout=timeout))

    def from_inside(self, host: str, port: int, *, uid: int = 0, timeout: float = 3) -> str:
        return self.inside.call(lambda: ask(host, port, timeout=timeout), uid=uid)

    def close(self) -> None:
        for server in (self.app, self.proxy, *self.others):
            with suppress(OSError):
                server.close()


@pytest.fixture
def pod() -> Iterator[Pod]:
    tag = f"{os.getpid():x}"
    inside, outside = Namespace(f"pod{tag}"), Namespace(f"out{tag}")
    try:
        ip("link", "add", "eth0", "netns", inside.name, "type", "veth", "peer", "name", "eth0", "netns", outside.name)
        for namespace, last in ((inside, 1), (outside, 2)):
            namespace.run_command("ip", "address", "add", f"10.77.0.{last}/24", "dev", "eth0")
            namespace.run_command("ip", "address", "add", f"fd77::{last}/64", "dev", "eth0", "nodad")
            namespace.run_command("ip", "link", "set", "eth0", "up")
        pod = Pod(inside, outside)
        inside.call(lambda: apply(RULES))
        yield pod
        pod.close()
    finally:
        inside.remove()
        outside.remove()


def test_guarded_port_leads_to_the_sidecar_from_everywhere_but_the_sidecar_itself(pod: Pod) -> None:
    for host in (POD4, POD6):
        assert pod.from_outside(host, 8000) == "proxy"
    for host in ("127.0.0.1", "::1", POD4, POD6):
        assert pod.from_inside(host, 8000) == "proxy"
        assert pod.from_inside(host, 8000, uid=1000) == "proxy"
    assert pod.app.count == 0
    for host in ("127.0.0.1", "::1"):
        assert pod.from_inside(host, 8000, uid=64321) == "app"


def test_only_the_ports_of_the_sidecar_and_exempt_ones_are_open(pod: Pod) -> None:
    for host in (POD4, POD6):
        assert pod.from_outside(host, 19871) == "proxy"
        assert pod.from_outside(host, 19872) == "health"
        assert pod.from_outside(host, 9090) == "exempt"
        assert pod.from_outside(host, 5000, timeout=0.3) == "dropped"
    assert pod.from_inside("127.0.0.1", 5000) == "debug"


def test_pod_can_still_call_out(pod: Pod) -> None:
    server = pod.outside.listen(8000, "elsewhere")
    assert pod.from_inside("10.77.0.2", 8000) == "elsewhere"
    assert pod.from_inside("fd77::2", 8000) == "elsewhere"
    server.close()


def test_dead_sidecar_means_refused_and_never_the_server(pod: Pod) -> None:
    pod.proxy.close()
    assert pod.from_outside(POD4, 8000) == "refused"
    assert pod.from_inside("127.0.0.1", 8000) == "refused"
    assert pod.app.count == 0


def test_lost_redirect_leaves_the_guarded_port_closed_inside_and_outside(pod: Pod) -> None:
    for chain in ("prerouting", "output"):
        pod.inside.run_command("nft", "flush", "chain", "inet", "postern", chain)
    for host in (POD4, POD6):
        assert pod.from_outside(host, 8000, timeout=0.3) == "dropped"
    for host in ("127.0.0.1", POD6):
        assert pod.from_inside(host, 8000, timeout=0.3) == "dropped"
    assert pod.app.count == 0
    assert pod.from_inside("127.0.0.1", 8000, uid=64321) == "app"


def test_applying_again_lets_not_one_connection_through(pod: Pod) -> None:
    done = Event()
    answers: list[str] = []

    def hammer(host: str) -> None:
        while not done.is_set():
            answers.append(ask(host, 8000, timeout=0.2))

    places = ((pod.outside, POD4), (pod.outside, POD6), (pod.inside, "127.0.0.1"), (pod.inside, POD4))
    threads = [Thread(target=namespace.call, args=(lambda host=host: hammer(host),)) for namespace, host in places]
    for thread in threads:
        thread.start()
    for _ in range(25):
        pod.inside.call(lambda: apply(RULES))
    done.set()
    for thread in threads:
        thread.join(timeout=10)
    assert answers.count("proxy") > 50
    assert pod.app.count == 0


def test_program_without_the_right_fails_with_one_line_and_changes_nothing(pod: Pod) -> None:
    command = [sys.executable, "-m", "postern_sidecar.capture", "--guard", "5000"]
    without = ["ip", "netns", "exec", pod.inside.name, "setpriv", "--bounding-set=-net_admin", *command]
    done = subprocess.run(without, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "NET_ADMIN" in done.stderr
    assert pod.from_outside(POD4, 8000) == "proxy"
    assert subprocess.run(["ip", "netns", "exec", pod.inside.name, *command], timeout=20, check=False).returncode == 0
    assert pod.from_outside(POD4, 5000) == "proxy"
