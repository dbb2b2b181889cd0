"""A cluster as tests and the demo use it: kubectl and helm, results as plain data, bounded waits.

kubectl is used rather than a client library: it is what users type, and its validation is part of what is tested.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

__all__ = ["CommandFailed", "Kube", "NotReached", "wait_for"]

T = TypeVar("T")
Manifest = dict[str, Any]


class CommandFailed(Exception):
    """Raised when kubectl or helm exited non-zero; says the command and what it printed."""

    def __init__(self, command: list[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(command)}: exit {code}\n{output}")
        self.output = output


class NotReached(Exception):
    """Raised when a condition did not become true in its time."""


def wait_for(what: str, probe: Callable[[], T | None], *, timeout_s: float = 60, every_s: float = 0.1) -> T:
    """Give the first truthy result of the probe. Raises NotReached with what was waited for and the last failure."""
    end = time.monotonic() + timeout_s
    last: Exception | None = None
    while time.monotonic() < end:
        try:
            result = probe()
        except (CommandFailed, OSError) as e:
            last, result = e, None
        if result:
            return result
        time.sleep(every_s)
    raise NotReached(f"not reached in {timeout_s:g} s: {what}" + (f" (last: {last})" if last else ""))


@dataclass(frozen=True)
class Kube:
    """kubectl and helm against one cluster."""

    environment: dict[str, str] = field(default_factory=dict)
    """KUBECONFIG and PATH additions; the rest comes from the process."""
    namespace: str = "default"

    def within(self, namespace: str) -> "Kube":
        """Give the same cluster with another default namespace."""
        return Kube(self.environment, namespace)

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def _run(self, command: list[str], stdin: str | None, timeout_s: float) -> str:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_s, env=self._env(), check=False
        )
        if done.returncode != 0:
            raise CommandFailed(command, done.returncode, done.stdout + done.stderr)
        if done.stderr and "Warning" in done.stderr:
            return done.stdout + done.stderr
        return done.stdout

    def run(self, *arguments: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Give what ``kubectl -n NAMESPACE …`` printed (warnings of the API server at the end)."""
        return self._run(["kubectl", "-n", self.namespace, *arguments], stdin, timeout_s)

    def helm(self, *arguments: str, timeout_s: float = 300) -> str:
        """Give what helm printed."""
        return self._run(["helm", *arguments], None, timeout_s)

    def get(self, *arguments: str) -> Any:
        """Give the object or list of ``kubectl get … -o json``."""
        return json.loads(self.run("get", *arguments, "-o", "json"))

    def apply(self, *manifests: Manifest | Path | str, arguments: tuple[str, ...] = ()) -> str:
        """Apply manifests (data, YAML text or files) in one command; give what kubectl printed."""
        texts = [
            m if isinstance(m, str) else m.read_text(encoding="utf-8") if isinstance(m, Path) else yaml.safe_dump(m)
            for m in manifests
        ]
        return self.run("apply", *arguments, "-f", "-", stdin="\n---\n".join(texts))

    def refusal(self, *manifests: Manifest | Path | str, arguments: tuple[str, ...] = ()) -> str:
        """Apply what must be refused; give the message. Raises AssertionError when it was accepted."""
        try:
            printed = self.apply(*manifests, arguments=arguments)
        except CommandFailed as e:
            return e.output
        raise AssertionError(f"accepted, but must be refused: {printed}")

    def rollout(self, workload: str, *, timeout_s: float = 120) -> None:
        """Wait until a workload's rollout is complete."""
        self.run("rollout", "status", workload, f"--timeout={timeout_s:g}s", timeout_s=timeout_s + 10)

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """List the pods of a label selector that are not going away."""
        items: list[dict[str, Any]] = self.get("pods", "-l", selector)["items"]
        return [p for p in items if "deletionTimestamp" not in p["metadata"]]

    @contextmanager
    def port_forward(self, target: str, port: int, *, local: int | None = None) -> Iterator[str]:
        """Forward a local port (any free one by default) while the block runs; give 127.0.0.1:PORT."""
        process = subprocess.Popen(
            ["kubectl", "-n", self.namespace, "port-forward", target, f"{local or ''}:{port}", "--address=127.0.0.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._env(),
        )
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "Forwarding from" not in line:
                raise NotReached(f"port-forward to {target}: {line.strip()}")
            yield line.split()[2]
        finally:
            process.terminate()
            process.wait(timeout=10)
            if process.stdout:
                process.stdout.close()
