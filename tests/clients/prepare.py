"""Puts into the cache what this tier runs: ``python -m tests.clients.prepare``; seconds when it is there already."""

import sys

from tests.conformance.suite import PROJECT as CONFORMANCE
from tests.support.clients.typescript import PROJECT as CLIENTS
from tests.support.identity.node_modules import installed_packages
from tests.support.images.errors import SetupError
from tests.support.keycloak.distribution import distribution
from tests.support.node_packages import packages_of


def main() -> int:
    """The exit code."""
    try:
        installed_packages()
        packages_of(CLIENTS, "clients")
        packages_of(CONFORMANCE, "conformance")
        distribution()
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
