"""Which Secrets a sidecar reads: this module is that list, each with the file that it becomes."""

from dataclasses import dataclass

from postern_crds.sidecar_files import CLIENT_SECRET_FILE, INTROSPECTION_SECRET_FILE, KEYS_FILE
from postern_crds.v1alpha1 import PolicySpec
from postern_operator import names
from postern_operator.policy.stored import Policy

__all__ = ["SecretSource", "secret_sources"]


@dataclass(frozen=True, slots=True)
class SecretSource:
    """One key of a Secret in the pod's namespace."""

    name: str
    key: str
    file: str
    """Name of the file in the configuration directory."""


def secret_sources(policy: Policy) -> tuple[SecretSource, ...]:
    """Give the Secrets of a policy, ours first. Whether they exist is another matter: each may come later."""
    return (*_keys(policy), *_users(policy.spec))


def _keys(policy: Policy) -> tuple[SecretSource, ...]:
    if policy.spec.mode == "Direct":
        return ()
    return (SecretSource(names.keys_secret_name(policy.name), KEYS_FILE, KEYS_FILE),)


def _users(spec: PolicySpec) -> tuple[SecretSource, ...]:
    client = None if spec.proxy is None else spec.proxy.client.secret_ref
    introspection = spec.verification.introspection
    references = (
        (client, CLIENT_SECRET_FILE),
        (None if introspection is None else introspection.secret_ref, INTROSPECTION_SECRET_FILE),
    )
    return tuple(SecretSource(found.name, found.key, file) for found, file in references if found is not None)
