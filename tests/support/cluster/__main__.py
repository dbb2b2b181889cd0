"""A real Kubernetes on this machine: one node in namespaces of its own, no container engine needed."""

import argparse
import shlex
import sys
from pathlib import Path

from tests.support.cluster.binaries import module_version
from tests.support.cluster.lifecycle import down, existing_plan, load, up
from tests.support.cluster.machine import running_node
from tests.support.cluster.plan import DEFAULT_INDEX, DEFAULT_NAME
from tests.support.images.errors import SetupError


def main() -> int:
    """The exit code: 0, 1 when something could not be done or the cluster is down, 2 for a wrong command line."""
    options = _parser().parse_args()
    try:
        return _run(options)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    match options.verb:
        case "up":
            up(options.name, options.index, fresh=options.fresh)
            print(_environment(options.name))
        case "down":
            down(options.name, purge=options.purge)
        case "load":
            load(options.archives, options.name)
        case "env":
            print(_environment(options.name))
        case _:
            return _status(options.name)
    return 0


def _status(name: str) -> int:
    node = running_node(existing_plan(name))
    version = module_version("k8s.io/kubernetes")
    print(f"{name}: up, kubernetes {version}, first process {node.pid}" if node else f"{name}: down")
    return 0 if node else 1


def _environment(name: str) -> str:
    plan = existing_plan(name)
    return f"export KUBECONFIG={shlex.quote(str(plan.kubeconfig))}; export PATH={shlex.quote(str(plan.programs))}:$PATH"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.support.cluster", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("up", "build what is missing and start the cluster"),
        ("down", "end it and everything in it"),
        ("status", "say whether it runs"),
        ("load", "load image archives into it"),
        ("env", 'print the shell\'s settings for kubectl and helm: eval "$(... env)"'),
    ):
        verbs.add_parser(verb, help=text).add_argument("--name", default=DEFAULT_NAME, help=f"default: {DEFAULT_NAME}")
    verbs.choices["up"].add_argument("--index", type=int, default=DEFAULT_INDEX, help="decides its addresses, 1 to 254")
    verbs.choices["up"].add_argument("--fresh", action="store_true", help="forget what was in it before")
    verbs.choices["down"].add_argument("--purge", action="store_true", help="forget its state and loaded images too")
    verbs.choices["load"].add_argument("archives", nargs="+", type=Path, help="oci-archive files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
