"""What a running pod cannot take over, as one value: this module is the shape, whose change is a rollout."""

import hashlib
import json

import msgspec

from postern_crds.sidecar_ports import HEALTH_PORT, LISTEN_PORT, SIDECAR_UID
from postern_operator.pod.secret_sources import secret_sources
from postern_operator.policy.stored import Policy
from postern_operator.settings import Settings

__all__ = ["shape_of"]

_RENDERER = 1
"""Raised when the containers are rendered in another way that running pods must get: this rolls every workload."""


def shape_of(policy: Policy, settings: Settings) -> str:
    """Give the hex SHA-256 (first 16 digits) over image, ports, mode, user id, resources and what the volume holds.

    Of Secrets and ConfigMaps the names count, never the content: that reaches running pods.
    """
    spec = policy.spec
    shape = {
        "renderer": _RENDERER,
        "image": settings.sidecar_image,
        "ports": [LISTEN_PORT, HEALTH_PORT],
        "guard": spec.server.port,
        "exempt": sorted(set(spec.server.exempt_ports)),
        "mode": spec.capture.mode,
        "uid": SIDECAR_UID,
        "resources": msgspec.to_builtins(spec.sidecar.resources),
        "caBundle": msgspec.to_builtins(spec.ca_bundle),
        "secrets": [[secret.name, secret.key, secret.file] for secret in secret_sources(policy)],
    }
    text = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
