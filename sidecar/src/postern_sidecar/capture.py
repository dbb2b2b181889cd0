"""The redirect of a pod's traffic to the sidecar: this module writes one nft table, reads it back, and exits.

It runs to the end as an init container with NET_ADMIN before the sidecar starts. The rules are text made by a pure
function; the shell applies them in one transaction and trusts nothing but what the kernel then reports. Standard
library only, for it runs as root.
"""

import argparse
import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

__all__ = ["CaptureError", "Rules", "apply", "expected_listing", "listing", "main", "parse_rules", "ruleset"]

_TABLE = "postern"
_NAT_PRIORITY = -90
"""After the -100 of sidecar meshes: they take the mTLS bytes first, then we get plain requests, in either install
order."""
_NFT_TIMEOUT_S = 20


class CaptureError(Exception):
    """Raised when the redirect is not in force; the pod must not start."""


class _UsageError(Exception):
    """Raised when the command line is wrong; exit code 2."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What to redirect; all are TCP ports, except uid."""

    guard: int
    """Port of the MCP server."""
    listen: int
    """Port of the sidecar."""
    health: int
    exempt: tuple[int, ...]
    """Ports that stay reachable from outside, ascending."""
    uid: int
    """User of the sidecar: the only one whose loopback traffic reaches the server."""

    @property
    def open_ports(self) -> tuple[int, ...]:
        """Ports that accept new connections from outside, ascending."""
        return tuple(sorted({self.listen, self.health, *self.exempt}))


def ruleset(rules: Rules) -> str:
    """Give the input for ``nft -f``: one transaction that leaves exactly our table, whatever was there.

    Inside the pod (lo) everyone but the sidecar's user is redirected too, so port-forward meets the sidecar. The
    filters hold by themselves: even when the nat rules vanish, new TCP to all other ports is dropped from outside, and
    to the guarded port from inside.
    """
    ports = ", ".join(map(str, rules.open_ports))
    return f"""\
add table inet {_TABLE}
delete table inet {_TABLE}
table inet {_TABLE} {{
    chain prerouting {{
        type nat hook prerouting priority {_NAT_PRIORITY}; policy accept;
        tcp dport {rules.guard} redirect to :{rules.listen}
    }}
    chain output {{
        type nat hook output priority {_NAT_PRIORITY}; policy accept;
        oifname "lo" meta skuid != {rules.uid} tcp dport {rules.guard} redirect to :{rules.listen}
    }}
    chain input {{
        type filter hook input priority 0; policy accept;
        iifname "lo" accept
        ct state established,related accept
        tcp dport {{ {ports} }} accept
        meta l4proto tcp drop
    }}
    chain inside {{
        type filter hook output priority 0; policy accept;
        oifname "lo" meta skuid != {rules.uid} tcp dport {rules.guard} drop
    }}
}}
"""


def expected_listing(rules: Rules) -> list[dict[str, Any]]:
    """Give what ``nft -j list table`` must report for these rules, in the form of listing()."""
    redirect = {"redirect": {"port": rules.listen}}
    guarded = _match({"payload": {"protocol": "tcp", "field": "dport"}}, rules.guard)
    opened = _match({"payload": {"protocol": "tcp", "field": "dport"}}, {"set": list(rules.open_ports)})
    state = _match({"ct": {"key": "state"}}, ["established", "related"], operator="in")
    inside = [_match(_meta("oifname"), "lo"), _match(_meta("skuid"), rules.uid, operator="!="), guarded]
    lines: list[tuple[str, list[Any]]] = [
        ("prerouting", [guarded, redirect]),
        ("output", [*inside, redirect]),
        ("input", [_match(_meta("iifname"), "lo"), {"accept": None}]),
        ("input", [state, {"accept": None}]),
        ("input", [opened, {"accept": None}]),
        ("input", [_match(_meta("l4proto"), "tcp"), {"drop": None}]),
        ("inside", [*inside, {"drop": None}]),
    ]
    chains = [
        _chain("prerouting", "nat", "prerouting", _NAT_PRIORITY),
        _chain("output", "nat", "output", _NAT_PRIORITY),
        _chain("input", "filter", "input", 0),
        _chain("inside", "filter", "output", 0),
    ]
    table = {"table": {"family": "inet", "name": _TABLE}}
    found = [{"rule": {"family": "inet", "table": _TABLE, "chain": chain, "expr": expr}} for chain, expr in lines]
    return _sorted([table, *chains, *found])


def listing(text: str) -> list[dict[str, Any]]:
    """Read the output of ``nft -j list table``, without handles. Raises CaptureError when it is no such thing."""
    try:
        entries = json.loads(text)["nftables"]
        plain = [
            {kind: {key: value for key, value in body.items() if key != "handle"}}
            for entry in entries
            for kind, body in entry.items()
            if kind != "metainfo"
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaptureError(f"nft gave a listing that cannot be read ({error})") from error
    return _sorted([_with_ordered_sets(entry) for entry in plain])


def apply(rules: Rules) -> None:
    """Put the rules in force and prove it. Raises CaptureError."""
    _nft(["-f", "-"], ruleset(rules))
    found = listing(_nft(["-j", "list", "table", "inet", _TABLE], ""))
    wanted = expected_listing(rules)
    if found != wanted:
        differing = [entry for entry in found if entry not in wanted] + [
            entry for entry in wanted if entry not in found
        ]
        raise CaptureError(f"the kernel holds other rules than were written: {json.dumps(differing)}")


def parse_rules(arguments: Sequence[str]) -> Rules:
    """Read the command line. Raises _UsageError with what is wrong."""
    parser = _Parser(
        prog="postern-capture", description="Redirect a pod's guarded port to the sidecar.", allow_abbrev=False
    )
    parser.add_argument("--guard", type=_port, required=True, metavar="PORT", help="port of the MCP server")
    parser.add_argument("--listen", type=_port, default=19871, metavar="PORT", help="port of the sidecar")
    parser.add_argument("--health", type=_port, default=19872, metavar="PORT", help="port of the sidecar's probes")
    parser.add_argument(
        "--exempt", type=_port, action="append", default=[], metavar="PORT", help="stays open; repeatable"
    )
    parser.add_argument("--uid", type=_uid, default=64321, metavar="UID", help="user of the sidecar, never root")
    given = parser.parse_args(arguments)
    if given.guard in (given.listen, given.health, *given.exempt) or given.listen == given.health:
        raise _UsageError("--guard, --listen, --health and --exempt must be different ports")
    return Rules(given.guard, given.listen, given.health, tuple(sorted(set(given.exempt))), given.uid)


def main() -> None:
    """Exit 0: the redirect is in force; 1: it is not; 2: wrong use. Errors are one line on stderr."""
    try:
        apply(parse_rules(sys.argv[1:]))
    except _UsageError as error:
        sys.stderr.write(f"postern-capture: {error}\n")
        sys.exit(2)
    except CaptureError as error:
        sys.stderr.write(f"postern-capture: the redirect is not in force: {error}\n")
        sys.exit(1)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(message)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _uid(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) < 2**32 - 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a user id above 0")
    return int(text)


def _nft(arguments: Sequence[str], text: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["nft", *arguments],  # noqa: S607 - found by PATH of our own image
            input=text,
            capture_output=True,
            text=True,
            timeout=_NFT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise CaptureError("the program nft is missing: use the sidecar's image") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaptureError(f"nft could not run ({error})") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        advice = ": give the init container NET_ADMIN and user 0" if "not permitted" in done.stderr else ""
        raise CaptureError(f"nft refused ({lines[0].strip()}){advice}")
    return done.stdout


def _match(left: dict[str, Any], right: Any, *, operator: str = "==") -> dict[str, Any]:
    return {"match": {"op": operator, "left": left, "right": right}}


def _meta(key: str) -> dict[str, Any]:
    return {"meta": {"key": key}}


def _chain(name: str, kind: str, hook: str, priority: int) -> dict[str, Any]:
    body = {"family": "inet", "table": _TABLE, "name": name, "type": kind, "hook": hook, "prio": priority}
    return {"chain": {**body, "policy": "accept"}}


def _with_ordered_sets(value: Any) -> Any:
    """Even out what nft may report either way: members of a set in any order, a protocol by name or number."""
    if isinstance(value, dict):
        if value.get("left") == _meta("l4proto") and value.get("right") == socket.IPPROTO_TCP:
            return {**value, "right": "tcp"}
        return {key: _with_ordered_sets(item) for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, int | str) for item in value):
        return sorted(value, key=str) if not all(isinstance(item, int) for item in value) else sorted(value)
    return [_with_ordered_sets(item) for item in value] if isinstance(value, list) else value


def _sorted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Table, chains, rules; rules keep their order within a chain."""
    order = {"table": 0, "chain": 1, "rule": 2}
    return sorted(
        entries,
        key=lambda entry: next(
            (order.get(kind, 3), body.get("name", body.get("chain", ""))) for kind, body in entry.items()
        ),
    )


if __name__ == "__main__":
    main()
