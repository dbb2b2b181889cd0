"""The file ``keys.json``: the key ring with which a sidecar seals what it hands out (mode Proxy).

The operator writes it, every replica of a policy reads the same one, and so each opens what another sealed.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
from msgspec import Struct

__all__ = ["SECRET_BYTES", "KeyRing", "RingKey", "decode", "encode", "encode_secret"]

SECRET_BYTES = 32
MAX_KEYS = 64


class RingKey(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One key of a ring."""

    kid: str
    """Name, unique within the ring; it stands in clear in all that the key sealed."""
    secret: str
    """32 random bytes in base64url without padding."""
    not_before: int
    """Epoch seconds from which the key seals. Before, it only opens: so that every replica has it by then."""

    def secret_bytes(self) -> bytes:
        """Give the secret. Raises ValueError when it is not 32 bytes in base64url."""
        secret = urlsafe_b64decode(self.secret + "=" * (-len(self.secret) % 4))
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"key {self.kid} has {len(secret)} bytes instead of {SECRET_BYTES}")
        return secret


class KeyRing(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The whole file. Of the keys that may seal the one with the latest not_before does; all of them open."""

    keys: tuple[RingKey, ...]


def encode_secret(secret: bytes) -> str:
    """Give a secret as the file has it."""
    return urlsafe_b64encode(secret).rstrip(b"=").decode()


def encode(ring: KeyRing) -> str:
    """Give the text of ``keys.json``: deterministic, newline at the end."""
    return msgspec.json.format(msgspec.json.encode(ring, order="deterministic"), indent=2).decode() + "\n"


def decode(text: bytes) -> KeyRing:
    """Read ``keys.json``. Raises ValueError with the fault, never with a key in its text."""
    ring = msgspec.json.decode(text, type=KeyRing)
    if not 1 <= len(ring.keys) <= MAX_KEYS or len({key.kid for key in ring.keys}) != len(ring.keys):
        raise msgspec.ValidationError(f"must hold 1 to {MAX_KEYS} keys with names of their own - at `$.keys`")
    for i, key in enumerate(ring.keys):
        try:
            key.secret_bytes()
        except (ValueError, binascii.Error) as error:
            raise msgspec.ValidationError(
                f"must be {SECRET_BYTES} bytes in base64url - at `$.keys[{i}].secret`"
            ) from error
    return ring
