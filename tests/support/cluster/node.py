"""The first process of the node: sets up the namespaces it was started in, then keeps the components running.

When it ends, the kernel ends every process of the node with it, pods included.
Signals: SIGUSR1 starts the kubelet, SIGUSR2 what needs the API server, SIGTERM stops everything.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.support.cluster.components import FIRST, WITH_API, WITH_RUNTIME, commands
from tests.support.cluster.plan import Plan
from tests.support.images.processes import run

RESTART_DELAY_S = 0.5
TICK_S = 0.05
STOP_LIMIT_S = 3.0
LINK_LIMIT_S = 10.0

MACHINE_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet wants of the whole machine; it is shown files that say so, and then it writes nothing."""

NETWORK_SETTINGS = {
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/all/forwarding": "1",
    "bridge/bridge-nf-call-iptables": "1",
    "bridge/bridge-nf-call-ip6tables": "1",
}
"""Of the node's own network namespace."""


def main(arguments: list[str]) -> None:
    """Runs the node; ``arguments`` are name, index, state folder and programs folder."""
    name, index, state, programs = arguments
    plan = Plan(name, int(index), Path(state), Path(programs))
    supervisor = Supervisor(plan)
    prepare_files(plan)
    prepare_network(plan)
    supervisor.start(FIRST)
    supervisor.run()


def prepare_files(plan: Plan) -> None:
    """Gives the node a /var/lib, /var/log and /run of its own."""
    _mount("--make-rshared", "/")
    for folder in ("lib", "log"):
        own = plan.state / "var" / folder
        own.mkdir(parents=True, exist_ok=True)
        _mount("--bind", own, f"/var/{folder}")
        _mount("--make-rshared", f"/var/{folder}")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    _mount("--make-rshared", "/run")
    for name, value in MACHINE_SETTINGS.items():
        shown = Path("/run/machine-settings") / name
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(f"{value}\n")
        _mount("--bind", shown, f"/proc/sys/{name}")


def prepare_network(plan: Plan) -> None:
    """Waits for the link that ``up`` puts into this namespace, and gives it its addresses."""
    socket.sethostname(plan.name)
    for name, value in NETWORK_SETTINGS.items():
        try:
            Path("/proc/sys/net", name).write_text(value)
        except OSError as error:
            say(f"setting {name} to {value}: {error}")
    _ip("link", "set", "lo", "up")
    deadline = time.monotonic() + LINK_LIMIT_S
    while "eth0" not in dict(socket.if_nameindex()).values():
        if time.monotonic() > deadline:
            raise SystemExit("nobody gave this node a link")
        time.sleep(0.01)
    _ip("link", "set", "eth0", "up")
    for family in plan.network.families:
        _ip("address", "add", f"{family.node}/{family.prefix}", "dev", "eth0", *family.address_options)
        _ip("route", "add", "default", "via", family.machine)


def say(text: str) -> None:
    print(f"{time.time():.2f} {text}", flush=True)


def _mount(*words: str | Path) -> None:
    run(["mount", *words], purpose="preparing the node's files")


def _ip(*words: str) -> None:
    run(["ip", *words], purpose="preparing the node's network")


class Supervisor:
    """Starts components, starts them again when they end, and stops them in order."""

    def __init__(self, plan: Plan) -> None:
        self._commands = commands(plan)
        self._logs = plan.logs
        self._running: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
        self._due: dict[str, float] = {}
        self._started: set[str] = set()
        self._stopping = False
        signal.signal(signal.SIGUSR1, lambda *_: self.start(WITH_RUNTIME))
        signal.signal(signal.SIGUSR2, lambda *_: self.start(WITH_API))
        signal.signal(signal.SIGTERM, lambda *_: self._stop())

    def start(self, components: Iterable[str]) -> None:
        """Makes these components due; one that was started before is left alone."""
        for component in components:
            if component not in self._started:
                self._started.add(component)
                self._due[component] = 0.0

    def run(self) -> None:
        """Returns when SIGTERM came and the components that write to disk have ended."""
        while not self._stopping:
            self._launch_due()
            self._reap()
            time.sleep(TICK_S)
        self._end()

    def _stop(self) -> None:
        self._stopping = True

    def _launch_due(self) -> None:
        for component in [name for name, at in self._due.items() if at <= time.monotonic()]:
            del self._due[component]
            with (self._logs / f"{component}.log").open("ab") as log:
                process = subprocess.Popen(
                    self._commands[component],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._running[process.pid] = (component, process)
            say(f"{component} started, process {process.pid}")

    def _reap(self) -> None:
        """Collects every process that ended; those of pods come to the first process of the node."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._running:
                component, process = self._running.pop(pid)
                process.returncode = os.waitstatus_to_exitcode(status)
                self._due[component] = time.monotonic() + RESTART_DELAY_S
                say(f"{component} ended with {process.returncode}")

    def _end(self) -> None:
        """Kills what would restart or report the others' end, and lets the two that keep data finish."""
        writers = ("etcd", "containerd")
        for component, process in self._running.values():
            process.send_signal(signal.SIGTERM if component in writers else signal.SIGKILL)
        deadline = time.monotonic() + STOP_LIMIT_S
        while time.monotonic() < deadline and any(name in writers for name, _ in self._running.values()):
            self._reap()
            time.sleep(0.02)
        say("the node ends")


if __name__ == "__main__":
    main(sys.argv[1:])
