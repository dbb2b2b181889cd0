"""The sidecar as its image holds it: this module makes an environment with the locked dependencies of it alone.

The development environment would not do: libraries that happen to be there are imported by others.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.images.cache import cache_root, content_key

__all__ = ["Installation", "install_sidecar"]

ROOT = Path(__file__).parents[1]
SYSTEM_PYTHON = Path("/usr/bin/python3")
"""On Debian that of the base image."""
RUN_TIME = {"PYTHONUNBUFFERED": "1", "PYTHONOPTIMIZE": "2"}
"""What sidecar/Dockerfile sets for the process, apart from PYTHONDONTWRITEBYTECODE."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed sidecar."""

    programs: Path
    """Directory of postern-sidecar and its python3."""
    compiled: Path
    """Where compiled files are kept, those of the standard library too: the machine's own are of another form."""

    def environment(self, *, compiling: bool = False) -> dict[str, str]:
        """Give the variables of a process; compiling: it leaves compiled files for the next ones."""
        fixed = {"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": str(self.compiled), **RUN_TIME}
        return fixed if compiling else {**fixed, "PYTHONDONTWRITEBYTECODE": "1"}


def install_sidecar() -> Installation:
    """Install it; done once for the same sources and lock."""
    python = str(SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else shutil.which("python3"))
    inputs = [ROOT / "uv.lock", ROOT / "pyproject.toml", ROOT / "crds", ROOT / "sidecar"]
    folder = cache_root() / "benchmarks" / content_key([python, *inputs])
    if not (folder / "complete").exists():
        environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder / "venv"), "UV_LINK_MODE": "copy"}
        environment.pop("VIRTUAL_ENV", None)
        command = [os.environ.get("UV", "uv"), "sync", "--quiet", "--frozen", "--no-dev", "--no-editable"]
        command += ["--reinstall-package", "postern-sidecar", "--reinstall-package", "postern-crds"]
        command += ["--package", "postern-sidecar", "--python", python]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        _strip(folder / "venv")
        (folder / "complete").touch()
    return Installation(folder / "venv" / "bin", folder / "compiled")


def _strip(folder: Path) -> None:
    """Take the debug symbols out, as sidecar/Dockerfile does."""
    if shutil.which("strip") is not None:
        libraries = [str(path) for path in folder.rglob("*.so*") if path.is_file()]
        subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)
