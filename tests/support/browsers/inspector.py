"""The MCP Inspector's web UI as a process on loopback, on a Node.js of its own: it needs a newer one than Debian has.

``python -m tests.support.browsers.inspector`` installs both into the cache.
"""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.identity.programs import free_port, running
from tests.support.images.errors import SetupError
from tests.support.node_packages import packages_of

NODE_PROJECT = Path(__file__).parent / "node"
PROGRAM = "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
READY = re.compile(r"http://\S+\?MCP_INSPECTOR_API_TOKEN=\S+")


@dataclass(frozen=True, slots=True)
class Inspector:
    """One that runs."""

    url: str
    """With the token that its own backend asks for."""


def installed() -> tuple[Path, Path]:
    """Node.js and the program to run in it; ``SetupError`` when they cannot be installed."""
    packages = packages_of(NODE_PROJECT, "inspector")
    # One package for each kind of machine; npm takes the one that fits.
    node = next(packages.glob("node-linux-*/bin/node"), None)
    if node is None:
        raise SetupError("npm has no Node.js for this kind of machine: see tests/support/browsers/node/package.json")
    return node, packages / PROGRAM


@contextmanager
def running_inspector(folder: Path, servers: dict[str, str]) -> Iterator[Inspector]:
    """The Inspector, which knows ``servers`` (name to URL), until the end of the block; all its files in ``folder``."""
    node, program = installed()
    catalog = {"mcpServers": {name: {"type": "streamable-http", "url": url} for name, url in servers.items()}}
    config = folder / "servers.json"
    config.write_text(json.dumps(catalog), encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HOST": "127.0.0.1",
        "CLIENT_PORT": str(free_port()),
        "MCP_SANDBOX_PORT": str(free_port()),
        "MCP_STORAGE_DIR": str(folder / "storage"),
        "MCP_INSPECTOR_SECRET_STORE": "memory",
        "MCP_AUTO_OPEN_ENABLED": "false",
    }
    command: list[str | Path] = [node, program, "--web", "--config", config]
    with running("MCP Inspector", command, log=folder / "inspector.log", environment=environment) as process:
        process.wait_until(lambda: READY.search(process.written()) is not None)
        found = READY.search(process.written())
        if found is None:
            raise process.failure("named no URL")
        yield Inspector(found[0])


if __name__ == "__main__":
    try:
        installed()
    except SetupError as error:
        sys.exit(f"error: {error}")
