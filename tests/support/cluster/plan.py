"""What a cluster is called and where its things lie."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster.network import Network, plan_network
from tests.support.images.cache import CACHE_VARIABLE, cache_root
from tests.support.images.errors import SetupError

DEFAULT_NAME = "postern"
DEFAULT_INDEX = 1
NAME = re.compile(r"[a-z][a-z0-9]{0,9}")
"""Short, because the name of the network interface is made of it (15 characters at most)."""

HIDDEN_IN_NODE = ("/var/lib", "/var/log", "/run", "/proc", "/sys", "/dev")
"""Folders that the node has its own of; state in the machine's could not be seen there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One cluster: ``state`` is its folder, ``programs`` the folder of kubectl, kubelet and the others."""

    name: str
    index: int
    state: Path
    programs: Path

    @property
    def network(self) -> Network:
        return plan_network(self.index)

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def certificates(self) -> Path:
        return self.state / "pki"

    @property
    def configuration(self) -> Path:
        return self.state / "etc"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def interface(self) -> str:
        """The machine's end of the link to the node."""
        return f"{self.name}-node"


def make_plan(name: str, index: int, programs: Path) -> Plan:
    """The plan of the cluster ``name``; ``SetupError`` for a name, index or cache folder that cannot work."""
    if not NAME.fullmatch(name):
        raise SetupError(f"{name!r} is no name for a cluster: one to ten small letters and digits, a letter first")
    try:
        plan_network(index)
    except ValueError as error:
        raise SetupError(str(error)) from error
    state = cache_root() / "cluster" / "run" / name
    hidden = next((folder for folder in HIDDEN_IN_NODE if state.is_relative_to(folder)), None)
    if hidden:
        raise SetupError(
            f"the cache cannot be below {hidden}, of which the node has its own: set {CACHE_VARIABLE} elsewhere"
        )
    return Plan(name, index, state, programs)
