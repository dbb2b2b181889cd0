"""The command line of the operator: this module is its commands, their output and exit codes (DESIGN 7).

Exit codes: 0 done, 1 failed or refused, 2 wrong use or bad input. Errors go to stderr, one line each.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from postern_crds.sidecar_config import encode
from postern_crds.v1alpha1 import KIND
from postern_operator import __version__, local_files, names, settings
from postern_operator.documents import POD_KINDS, InputError, pod_of, read
from postern_operator.errors import SettingsError
from postern_operator.pod.decision import Injected, Refused
from postern_operator.pod.inject import inject
from postern_operator.pod.workload import names_policy, stamp, template_pod
from postern_operator.policy.render import render
from postern_operator.policy.stored import problems
from postern_operator.settings import Settings

__all__ = ["main"]

_OK, _FAILED, _MISUSE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run one command and give the exit code; argparse itself exits with 2 on wrong use."""
    chosen = _parser().parse_args(arguments)
    try:
        match chosen.command:
            case "controller" | "webhook":
                return _serve(chosen.command)
            case "render":
                return _render(chosen.policy, chosen.output)
            case _:
                return _inject(chosen.policy, chosen.pod, chosen.image)
    except (InputError, SettingsError) as e:
        return _fail(str(e).splitlines(), _MISUSE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="postern-operator", description="OAuth in front of MCP servers.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("controller", help="reconcile policies in a cluster (settings: POSTERN_… variables)")
    commands.add_parser("webhook", help="serve admission requests (settings: POSTERN_… variables)")
    rendering = commands.add_parser("render", help="write the file that a sidecar reads; needs no cluster")
    rendering.add_argument("policy", metavar="POLICY.yaml", help="file with a McpAuthPolicy, - for stdin")
    rendering.add_argument(
        "--output",
        metavar="DIR",
        help="directory for policy.json, and keys.json in mode Proxy; default: policy.json to stdout",
    )
    injecting = commands.add_parser("inject", help="print the pod as the webhook returns it; needs no cluster")
    injecting.add_argument("policy", metavar="POLICY.yaml", help="file with a McpAuthPolicy, - for stdin")
    injecting.add_argument("pod", metavar="POD.yaml", help="file with a Pod or a workload, - for stdin")
    injecting.add_argument(
        "--image", default="postern-sidecar:latest", help="image of the sidecar; default: %(default)s"
    )
    return parser


def _serve(role: str) -> int:
    found = settings.from_environment(os.environ)
    # Each role loads its own libraries alone: the webhook does without kopf, render and inject without both.
    if role == "controller":
        from postern_operator.controller.run import main as serve  # noqa: PLC0415 - see above
    else:
        from postern_operator.webhook.run import main as serve  # noqa: PLC0415 - see above
    return serve(found)


def _render(source: str, output: str | None) -> int:
    policy = read(source, (KIND,))
    if faults := problems(policy):
        return _fail(faults, _MISUSE)
    config = render(policy)
    if output is None:
        sys.stdout.write(encode(config))
        return _OK
    directory = Path(output)
    try:
        local_files.write(config, directory)
    except OSError as e:
        return _fail([f"{e.filename}: cannot be written: {e.strerror}"], _FAILED)
    except ValueError as e:
        return _fail([str(e)], _FAILED)
    sys.stderr.writelines(f"{line}\n" for line in local_files.missing(config, directory))
    return _OK


def _inject(policy_source: str, pod_source: str, image: str) -> int:
    if policy_source == pod_source == "-":
        raise InputError("POLICY.yaml and POD.yaml cannot both be stdin: give a file for one of them")
    policy = read(policy_source, (KIND,))
    if faults := problems(policy):
        return _fail(faults, _MISUSE)
    subject = pod_of(read(pod_source, POD_KINDS), pod_source)
    try:
        outcome = _outcome(subject, policy, Settings(sidecar_image=image))
    except (AttributeError, KeyError, TypeError) as e:
        # The webhook sees only what the API server has checked; a file may have any form.
        raise InputError(f"{pod_source}: is not of the form of a {subject['kind']}: {e!r}") from e
    match outcome:
        case Refused(reason, message):
            return _fail([f"{reason}: {message}"], _FAILED)
        case Injected(pod, warnings):
            sys.stdout.write(yaml.safe_dump(pod, sort_keys=False, width=120, allow_unicode=True))
            sys.stderr.writelines(f"warning: {warning}\n" for warning in warnings)
            return _OK


def _outcome(subject: dict[str, Any], policy: dict[str, Any], installed: Settings) -> Injected | Refused:
    """Take a pod, or the pod of a workload, through what would happen to it; no namespace named: the policy's."""
    its_own = policy["metadata"].get("namespace")
    here = subject["metadata"].get("namespace") or its_own or "default"
    namespace = {"metadata": {"name": here}}
    found = policy if its_own in (None, here) else None
    if subject["kind"] == "Pod":
        asks = names.INJECT_LABEL in (subject["metadata"].get("labels") or {})
        missing = None if asks else f"the pod has no label {names.INJECT_LABEL}: {names.INJECT_VALUE!r}"
        outcome = inject(subject, found, installed, namespace=namespace)
    else:
        asks = names_policy(subject)
        missing = None if asks else f"the {subject['kind']} has no annotation {names.POLICY_ANNOTATION}"
        stamped = stamp(subject, None, found, installed, namespace=namespace, user="")
        if isinstance(stamped, Refused):
            return stamped
        outcome = inject(template_pod(stamped.workload), found, installed, namespace=namespace)
    if missing is not None and isinstance(outcome, Injected):
        return Injected(outcome.pod, (f"{missing}: Postern leaves it alone, unprotected", *outcome.warnings))
    return outcome


def _fail(lines: Sequence[str], code: int) -> int:
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return code
