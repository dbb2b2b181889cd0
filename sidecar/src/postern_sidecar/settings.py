"""How the sidecar is told where to listen and what to protect: this module is its options and variables.

Options win over variables. Everything about the policy itself is in the rendered file, nothing of it here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT
from postern_sidecar.errors import SettingsError

__all__ = ["HELP", "Address", "Settings", "asks_for_help", "parse_address", "read_settings"]

_BRACKETED = re.compile(r"\[([^\]]*)\]:([0-9]+)")
_PLAIN = re.compile(r"([^:\[\]]*):([0-9]+)")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect."""

    host: str
    """Name or address, without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What one sidecar knows of its place."""

    config: Path
    """--config, POSTERN_CONFIG: directory with policy.json and, for a private CA, ca.crt."""
    listen: Address
    """--listen, POSTERN_LISTEN: where guarded traffic arrives; all addresses by default."""
    health: Address
    """--health, POSTERN_HEALTH: probes, metrics, status."""
    upstream: Address
    """--upstream, POSTERN_UPSTREAM: the MCP server."""
    probes: str
    """POSTERN_PROBES: JSON, the server's own probes as the pod declared them; empty: none."""
    pod_ips: tuple[str, ...]
    """POSTERN_POD_IPS: the pod's addresses, accepted as Host; comma-separated."""
    namespace: str
    """POSTERN_NAMESPACE: the pod's namespace; empty outside a cluster."""
    drain_seconds: int
    """POSTERN_DRAIN_SECONDS: how long open requests may go on after SIGTERM. The default stays below the 30 seconds
    after which a kubelet kills."""


HELP = f"""\
usage: postern-sidecar [--config DIR] [--listen ADDR:PORT] [--health ADDR:PORT] [--upstream ADDR:PORT]

OAuth in front of one MCP server.

  --config DIR          directory that holds policy.json and perhaps keys.json, client-secret, ca.crt
  --listen ADDR:PORT    where clients connect (default [::]:{LISTEN_PORT})
  --health ADDR:PORT    probes, metrics, status (default [::]:{HEALTH_PORT})
  --upstream ADDR:PORT  the MCP server to protect
  -h, --help            show this text and end

Each option has a variable: POSTERN_CONFIG, POSTERN_LISTEN, POSTERN_HEALTH, POSTERN_UPSTREAM.
"""
_OPTIONS = frozenset(("--config", "--listen", "--health", "--upstream"))


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Tell whether the caller wants to read HELP."""
    return not {"-h", "--help"}.isdisjoint(arguments)


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Give what follows each option. By hand: argparse takes a quarter of a megabyte in each pod."""
    options = {}
    words = iter(arguments)
    for word in words:
        name, has_value, value = word.partition("=")
        if name not in _OPTIONS:
            raise SettingsError(f"{word!r} is no option: see postern-sidecar --help")
        value = value if has_value else next(words, "")
        if not value or value.startswith("--"):
            raise SettingsError(f"{name} needs a value after it")
        options[name] = value
    return options


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read them. Raises SettingsError that names the option and says what to do."""
    options = _options(arguments)

    def given(name: str, default: str | None = None) -> str:
        value = options.get(f"--{name}") or environment.get(f"POSTERN_{name.upper()}") or default
        if value is None:
            raise SettingsError(f"--{name} is missing: give it, or set POSTERN_{name.upper()}")
        return str(value)

    return Settings(
        config=Path(given("config")),
        listen=parse_address("--listen", given("listen", f"[::]:{LISTEN_PORT}"), may_be_any=True),
        health=parse_address("--health", given("health", f"[::]:{HEALTH_PORT}"), may_be_any=True),
        upstream=parse_address("--upstream", given("upstream")),
        probes=environment.get("POSTERN_PROBES", ""),
        pod_ips=tuple(part.strip() for part in environment.get("POSTERN_POD_IPS", "").split(",") if part.strip()),
        namespace=environment.get("POSTERN_NAMESPACE", ""),
        drain_seconds=_drain_seconds(environment.get("POSTERN_DRAIN_SECONDS", "25")),
    )


def parse_address(name: str, text: str, *, may_be_any: bool = False) -> Address:
    """Read ``host:port`` or ``[IPv6]:port``. Raises SettingsError.

    may_be_any: port 0 is allowed and means a free one.
    """
    match = _BRACKETED.fullmatch(text) or _PLAIN.fullmatch(text)
    if match is None or not match[1]:
        raise SettingsError(f"{name} is {text!r}: write ADDRESS:PORT, an IPv6 address in brackets, such as [::]:8080")
    port = int(match[2])
    if not (0 if may_be_any else 1) <= port <= 65535:
        raise SettingsError(f"{name} is {text!r}: a port is between 1 and 65535")
    return Address(match[1], port)


def _drain_seconds(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text):
        raise SettingsError(f"POSTERN_DRAIN_SECONDS is {text!r}: write a whole number of seconds")
    return int(text)
