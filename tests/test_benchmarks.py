"""The benchmarks measure what is shipped."""

import re
from pathlib import Path

from benchmarks.production import Installation

ROOT = Path(__file__).parent.parent


def test_sidecar_is_measured_with_the_python_settings_of_its_image() -> None:
    last_stage = (ROOT / "sidecar/Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    lines = re.findall(r"^ENV (.*)$", last_stage, re.MULTILINE)
    shipped = dict(setting.split("=", 1) for line in lines for setting in line.split() if setting.startswith("PYTHON"))
    measured = Installation(Path("/nowhere"), Path("/nowhere")).environment()
    elsewhere = {"PYTHONPYCACHEPREFIX"}  # compiled files cannot lie beside the machine's own standard library
    assert {name: measured[name] for name in measured if name.startswith("PYTHON") and name not in elsewhere} == shipped
