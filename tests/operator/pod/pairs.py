"""The YAML pairs of injection: ``python -m tests.operator.pod.pairs`` writes output/ anew, for review by eye."""

from pathlib import Path
from typing import Any

import yaml

from tests.operator.pod.samples import injected, make_policy

__all__ = ["NAMES", "OUTPUT", "read_input", "write_output"]

_HERE = Path(__file__).parent
_INPUT = _HERE / "input"
OUTPUT = _HERE / "output"
NAMES = sorted(path.stem for path in _INPUT.glob("*.yaml"))


def read_input(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the pod, and the policy with the second document merged into its spec."""
    pod, *spec = yaml.safe_load_all((_INPUT / f"{name}.yaml").read_text(encoding="utf-8"))
    return pod, make_policy(**(spec[0] if spec else {}))


def write_output(name: str) -> str:
    """Give the text of an output: the injected pod, then the warnings if there are any."""
    pod, policy = read_input(name)
    outcome = injected(pod, policy)
    documents: list[Any] = [outcome.pod]
    if outcome.warnings:
        documents.append({"warnings": list(outcome.warnings)})
    return yaml.safe_dump_all(documents, sort_keys=False, width=120)


if __name__ == "__main__":
    OUTPUT.mkdir(exist_ok=True)
    for pair in NAMES:
        (OUTPUT / f"{pair}.yaml").write_text(write_output(pair), encoding="utf-8")
