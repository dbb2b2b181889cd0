"""What a policy needs besides itself: this module is the certificates, keys and secrets that lie beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from postern_crds.key_ring import KeyRing

__all__ = ["Material"]


@dataclass(frozen=True, slots=True)
class Material:
    """All of one moment; whatever is absent may come later."""

    ca_pem: bytes | None = None
    """Content of ca.crt."""
    ring: KeyRing | None = field(default=None, repr=False)
    """Content of keys.json."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By the names of their files; those that are absent or empty are not in it."""
