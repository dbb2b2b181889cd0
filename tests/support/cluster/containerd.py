"""Images and old containers in the node's containerd, through its own client ``ctr``."""

from collections.abc import Sequence
from pathlib import Path

from tests.support.cluster.configuration import CONTAINERD_SOCKET
from tests.support.images.archives import identity
from tests.support.images.errors import SetupError
from tests.support.images.processes import run
from tests.support.images.progress import Progress

NAMESPACE = "k8s.io"
"""The kubelet's, among containerd's own namespaces."""


class Containerd:
    """containerd of the node whose first process is ``pid``: its socket is in that process's /run."""

    def __init__(self, pid: int) -> None:
        self.socket = Path(f"/proc/{pid}/root{CONTAINERD_SOCKET}")

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            self._ctr("images", "list")
        except SetupError:
            return False
        return True

    def images(self) -> dict[str, str]:
        """Tag → digest of the images that are loaded."""
        lines = self._ctr("images", "list").splitlines()[1:]
        return {words[0]: words[2] for words in (line.split() for line in lines)}

    def load(self, archives: Sequence[Path], progress: Progress) -> list[str]:
        """Loads the archives that are not loaded yet; gives back the tags of those it loaded."""
        present = self.images()
        wanted = {archive: identity(archive) for archive in archives}
        missing = {archive: tag for archive, (tag, digest) in wanted.items() if present.get(tag) != digest}
        for archive, tag in missing.items():
            with progress.step(f"image {tag}", "loading"):
                self._ctr("images", "import", str(archive))
        return list(missing.values())

    def remove_containers(self) -> int:
        """Removes what is left of containers whose processes are gone; gives back how many there were."""
        containers = self._ctr("containers", "list", "--quiet").split()
        if containers:
            self._ctr("containers", "delete", *containers)
        return len(containers)

    def _ctr(self, *words: str) -> str:
        command = ["ctr", "--address", str(self.socket), "--namespace", NAMESPACE, *words]
        return run(command, purpose=f"ctr {words[0]} {words[1]}")
