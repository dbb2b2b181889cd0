"""The names of the files beside each other in a sidecar's configuration directory. Running pods read them: never change one."""

__all__ = ["CA_FILE", "CLIENT_SECRET_FILE", "INTROSPECTION_SECRET_FILE", "KEYS_FILE", "POLICY_FILE"]

POLICY_FILE = "policy.json"
"""The rendered policy; required."""
CA_FILE = "ca.crt"
"""PEM certificates of the caBundle."""
KEYS_FILE = "keys.json"
"""The key ring, in mode Proxy."""
CLIENT_SECRET_FILE = "client-secret"  # noqa: S105 - a file name
"""Secret of our client at the identity provider, in mode Proxy."""
INTROSPECTION_SECRET_FILE = "introspection-secret"  # noqa: S105 - a file name
"""Secret with which tokens are introspected."""
