"""A real sidecar process in front of the unchanged MCP server, by a policy as users write it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from postern_crds.sidecar_files import CLIENT_SECRET_FILE
from tests.support.identity.programs import Program, answers, free_port, running
from tests.support.identity.provider import KnownClient
from tests.support.mcp.launch import McpServer

PROGRAMS = Path(sys.executable).parent
RENDER_TIMEOUT_S = 30
CLIENT_ID = "postern"
SECRET = "a secret/with: signs & spaces+"
"""Basic authentication must have it encoded (RFC 6749 section 2.3.1)."""
LOGIN = ("authorize: consent_asked", "consent: login_begun", "callback: code_issued", "token: issued")
"""What one login is at the sidecar."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients find the server; the same for all tests, for the identity providers know it."""

    port: int
    prefix: str = ""
    """Path of the host that the server owns."""

    @property
    def issuer(self) -> str:
        """Postern as the authorization server."""
        return f"http://localhost:{self.port}{self.prefix}"

    @property
    def url(self) -> str:
        return f"{self.issuer}/mcp"

    @property
    def client(self) -> KnownClient:
        """Postern as a client of an identity provider."""
        return KnownClient(id=CLIENT_ID, secret=SECRET, redirect_uris=(f"{self.issuer}/oauth/callback",))


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One that runs."""

    program: Program
    place: Place
    folder: Path
    """Its directory."""

    def requests(self) -> list[str]:
        """What clients asked so far, in order: method, path and status; None for what went to the server."""
        return [f"{line['method']} {line['path']} {line['status']}" for line in self._lines("decision")]

    def facade(self) -> list[str]:
        """What its authorization server did so far, in order: endpoint and result; the same in a row is one."""
        return [
            entry for entry, _ in groupby(f"{line['endpoint']}: {line['result']}" for line in self._lines("facade"))
        ]

    def change(self, provider: Mapping[str, Any], **spec: Any) -> None:
        """Puts another policy into its directory, and returns when that is in force."""
        done = len(self._lines("policy in force"))
        render(policy(self.place, provider, **spec), self.folder)
        self.program.wait_until(lambda: len(self._lines("policy in force")) > done)

    def _lines(self, event: str) -> list[dict[str, Any]]:
        # The last line may not be whole yet.
        lines = [json.loads(line) for line in self.program.written().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["event"] == event]


def policy(place: Place, provider: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    """A policy in mode Proxy, as a user writes it; ``spec`` adds or replaces members, with None it removes them."""
    members = {
        "mode": "Proxy",
        "resource": {"url": place.url, "prefix": place.prefix, "name": "Weather tools"},
        "server": {"path": "/mcp"},
        "provider": dict(provider),
        "scopes": {"required": ["weather:read"], "supported": ["weather:read", "weather:write"]},
        "proxy": {"client": {"id": CLIENT_ID, "secretRef": {"name": "idp", "key": "secret"}}},
        **spec,
    }
    return {
        "apiVersion": "postern.dev/v1alpha1",
        "kind": "McpAuthPolicy",
        "metadata": {"name": "weather", "namespace": "team-a"},
        "spec": {name: member for name, member in members.items() if member is not None},
    }


def render(policy: Mapping[str, Any], folder: Path, *, secrets: Mapping[str, str] | None = None) -> None:
    """The sidecar's directory for a policy; ``secrets`` by file name, else the secret of mode Proxy."""
    source = folder.with_suffix(".yaml")
    source.write_text(yaml.safe_dump(dict(policy)), encoding="utf-8")
    command: list[str | Path] = [PROGRAMS / "postern-operator", "render", source, "--output", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise ValueError(f"postern-operator render refused the policy: {done.stderr}")
    for name, secret in ({CLIENT_SECRET_FILE: SECRET} if secrets is None else secrets).items():
        (folder / name).write_text(f"{secret}\n", encoding="utf-8")


@contextmanager
def running_sidecar(folder: Path, server: McpServer, place: Place, *, port: int = 0) -> Iterator[Sidecar]:
    """The sidecar of a directory, ready, until the end of the block; its log lies beside the directory.

    ``port``: one that is not where clients look, because something else listens there.
    """
    port, health = port or place.port, free_port()
    addresses = {
        "--config": str(folder),
        "--listen": f"127.0.0.1:{port}",
        "--health": f"127.0.0.1:{health}",
        "--upstream": f"{server.host}:{server.port}",
    }
    words = [word for option in addresses.items() for word in option]
    log = folder.with_name(f"{folder.name}-{port}.log")
    with running("sidecar", [PROGRAMS / "postern-sidecar", *words], log=log) as program:
        program.wait_until(lambda: answers(f"http://127.0.0.1:{health}/readyz"))
        yield Sidecar(program, place, folder)
