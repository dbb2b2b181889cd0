"""Writes the CustomResourceDefinition: ``python -m postern_crds [FILE]``, standard output without FILE."""

import sys
from pathlib import Path

import yaml

from postern_crds.structural import custom_resource_definition

_HEADER = "# Generated from crds/src/postern_crds by `make generate`; do not edit.\n"


def main() -> None:
    """Write the YAML."""
    text = _HEADER + yaml.safe_dump(custom_resource_definition(), sort_keys=False, width=120, allow_unicode=True)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
