"""The Debian packages that images and cluster are made with; only what is missing gets installed."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.images.errors import SetupError
from tests.support.images.processes import run
from tests.support.images.progress import Progress

OLDEST_DEBIAN = 12
IMAGE_PACKAGES = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "unshare": "util-linux"}
"""Program → Debian package, for building images."""


def need_root() -> None:
    """Refuses with ``SetupError`` when this process is not root."""
    if os.geteuid() != 0:
        raise SetupError("this needs root (namespaces, mounts, cgroups): run it again as root, for example with sudo")


def need_debian() -> None:
    """Refuses with ``SetupError`` on anything but a Debian that is new enough."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except FileNotFoundError:
        lines = []
    release = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    version = release.get("VERSION_ID", "0")
    if release.get("ID") != "debian" or int(version.partition(".")[0]) < OLDEST_DEBIAN:
        found = release.get("PRETTY_NAME", "an unknown system")
        raise SetupError(f"this needs Debian {OLDEST_DEBIAN} or newer and found {found}: use a machine that runs it")


def install_missing(packages: Mapping[str, str], progress: Progress) -> None:
    """Installs the packages of the programs (names, or absolute paths) that this machine does not have."""
    missing = sorted({package for program, package in packages.items() if not _has(program)})
    if not missing:
        return
    need_root()
    need_debian()
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with progress.step("debian packages", f"installing {' '.join(missing)}"):
        run(["apt-get", "update", "-qq"], purpose="apt-get update", env=quiet)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
        run([*install, *missing], purpose="apt-get install", env=quiet)


def _has(program: str) -> bool:
    if program.startswith("/"):
        return Path(program).exists()
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def main(words: Sequence[str]) -> int:
    """Installs what is missing of ``PROGRAM=PACKAGE …``; the exit code."""
    try:
        install_missing(dict(word.split("=", 1) for word in words), Progress())
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
