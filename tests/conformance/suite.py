"""The conformance suite's programs, on a Node.js of their own: they need a newer one than Debian has."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.identity.programs import Program, running
from tests.support.images.errors import SetupError
from tests.support.node_packages import packages_of

PROJECT = Path(__file__).parent / "node"
PROGRAM = "@modelcontextprotocol/conformance/dist/index.js"


@contextmanager
def running_suite(folder: Path, *arguments: str) -> Iterator[Program]:
    """The suite with its command line, until the end of the block; its log and results lie in ``folder``."""
    packages = packages_of(PROJECT, "conformance")
    # One package for each kind of machine; npm takes the one that fits.
    node = next(packages.glob("node-linux-*/bin/node"), None)
    if node is None:
        raise SetupError("npm has no Node.js for this kind of machine: see tests/conformance/node/package.json")
    command: list[str | Path] = [node, packages / PROGRAM, *arguments, "--output-dir", folder / "results"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with running("conformance suite", command, log=folder / "suite.log", environment=environment) as program:
        yield program
