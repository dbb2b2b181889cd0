"""The program ``postern-operator``: this module is its entry."""

import sys

from postern_operator.cli import main as run

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
