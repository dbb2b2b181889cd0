"""The machine's side of a node: its process, its link and routes, its control groups, and their end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tests.support.cluster.network import Family
from tests.support.cluster.plan import Plan
from tests.support.images.errors import SetupError
from tests.support.images.processes import run

REPOSITORY = Path(__file__).parents[3]
CONTROL_GROUPS = Path("/sys/fs/cgroup")
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAMESPACES = ("--mount", "--pid", "--net", "--uts", "--ipc")
START_LIMIT_S = 10.0
STOP_LIMIT_S = 8.0
TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Node:
    """A node that was started; ``began`` tells its process from a later one with the same number."""

    pid: int
    began: str
    index: int

    def is_alive(self) -> bool:
        return _began(self.pid) == self.began

    def signal(self, number: signal.Signals) -> None:
        if self.is_alive():
            os.kill(self.pid, number)


def running_node(plan: Plan) -> Node | None:
    """The node of this cluster if it is alive."""
    try:
        node = Node(**json.loads(_record(plan).read_text()))
    except FileNotFoundError:
        return None
    return node if node.is_alive() else None


def start_node(plan: Plan) -> Node:
    """Starts the node's first process in namespaces of its own, and links it to the machine."""
    for group in _control_groups(plan):
        group.mkdir(exist_ok=True)
    command = ["unshare", *NAMESPACES, "--fork", "--mount-proc", sys.executable, "-m", "tests.support.cluster.node"]
    arguments = [plan.name, str(plan.index), str(plan.state), str(plan.programs)]
    with (plan.state / "node.log").open("ab") as log:
        parent = subprocess.Popen(
            [*command, *arguments],
            cwd=REPOSITORY,
            env={"PATH": f"{plan.programs}:{SEARCH_PATH}", "HOME": "/root", "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    pid = _wait_for(lambda: _child_in_own_network(parent.pid), START_LIMIT_S)
    if pid is None:
        raise SetupError(f"the node did not start: see {plan.state / 'node.log'}")
    node = Node(pid, _began(pid) or "", plan.index)
    _record(plan).write_text(json.dumps(asdict(node)))
    _link(plan, pid)
    return node


def stop_node(plan: Plan) -> bool:
    """Ends the node if it runs and removes every trace of it outside its state; says whether it ran."""
    node = running_node(plan)
    if node is not None:
        node.signal(signal.SIGTERM)
        if not _wait_for(lambda: not node.is_alive(), STOP_LIMIT_S):
            node.signal(signal.SIGKILL)
            _wait_for(lambda: not node.is_alive(), STOP_LIMIT_S)
    link = Path("/sys/class/net", plan.interface)
    if not _wait_for(lambda: not link.exists(), 2.0 if node else 0.0) and link.exists():
        run(["ip", "link", "delete", plan.interface], purpose="removing the link to the node")
    for group in _control_groups(plan):
        _remove_group(group)
    _record(plan).unlink(missing_ok=True)
    return node is not None


def machine_has_ipv6() -> bool:
    """Whether this machine's own network namespace speaks IPv6; the node's does in any case."""
    switch = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
    return switch.exists() and switch.read_text().strip() == "0"


def _link(plan: Plan, pid: int) -> None:
    interface = plan.interface
    _ip("link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
    _ip("link", "set", interface, "up")
    for family in plan.network.families if machine_has_ipv6() else [plan.network.ipv4]:
        _address(interface, family)


def _address(interface: str, family: Family) -> None:
    _ip("address", "add", f"{family.machine}/{family.prefix}", "dev", interface, *family.address_options)
    for destination in (family.pods, family.services):
        _ip("route", "replace", destination, "via", family.node, "dev", interface)


def _ip(*words: str) -> None:
    run(["ip", *words], purpose="linking the node to the machine")


def _record(plan: Plan) -> Path:
    return plan.state / "node.json"


def _began(pid: int) -> str | None:
    """When a process started, in clock ticks since boot; ``None`` if there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def _child_in_own_network(parent: int) -> int | None:
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        own = bool(children) and _network_of(children[0]) != _network_of("self")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(children[0]) if own else None


def _network_of(process: str) -> str:
    return os.readlink(f"/proc/{process}/ns/net")


def _control_groups(plan: Plan) -> list[Path]:
    """This cluster's group: one in a unified hierarchy, else one in each of the old ones."""
    if (CONTROL_GROUPS / "cgroup.controllers").exists():
        return [CONTROL_GROUPS / plan.name]
    mounted = [path for path in CONTROL_GROUPS.iterdir() if path.is_mount() and path.name != "unified"]
    return [path / plan.name for path in mounted if not path.is_symlink()]


def _remove_group(group: Path) -> None:
    """Removes a group from the leaves up; the kernel needs a moment after the last process."""
    for folder in _leaves_first(group):
        _wait_for(partial(_is_removed, folder), STOP_LIMIT_S)


def _leaves_first(group: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(group, topdown=False):
        yield Path(folder)


def _is_removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


Result = TypeVar("Result")


def _wait_for(condition: Callable[[], Result | None], limit_s: float) -> Result | None:
    deadline = time.monotonic() + limit_s
    while not (result := condition()) and time.monotonic() < deadline:
        time.sleep(TICK_S)
    return result
