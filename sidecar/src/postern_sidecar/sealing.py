"""State that travels through other hands: this module seals and opens it (JWE, RFC 7516, ``dir`` with A256GCM).

Each purpose and each issuer has keys of its own, derived by HKDF (RFC 5869), and ``typ`` names the purpose:
what was sealed for one purpose, issuer or ring is never opened for another. What holds something of the identity
provider has keys of its own for each identity provider, too: one never gets the codes and tokens of another.
"""

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64encode
from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.util import json_b64decode

from postern_crds.key_ring import SECRET_BYTES, KeyRing, RingKey
from postern_crds.sidecar_config import ProxyConfig, SidecarConfig

__all__ = ["MAX_SEALED_BYTES", "Purpose", "Seals", "upstream_name"]

MAX_SEALED_BYTES = 16384
"""Nothing of ours is longer; what is, is not looked at."""
_MAX_HEADER = 512
"""In base64: room for a key name of 250 characters, and none to nest JSON deeper than it can be read."""
_ALGORITHMS = ["dir", "A256GCM"]


class Purpose(StrEnum):
    """What a sealed text is for; ``typ`` of its header. Closed."""

    REGISTRATION = "postern-registration"
    """client_id of a registered client."""
    CONSENT_REQUEST = "postern-consent-request"
    """The authorization request inside the consent form."""
    TRANSACTION = "postern-transaction"
    """Cookie between consent and callback."""
    REMEMBERED_CONSENT = "postern-remembered-consent"
    """Cookie with what the user agreed to."""
    CODE = "postern-code"
    """Our authorization code."""
    ACCESS_TOKEN = "postern-access-token"  # noqa: S105 - a name
    REFRESH_TOKEN = "postern-refresh-token"  # noqa: S105 - a name


_OF_UPSTREAM = frozenset((Purpose.TRANSACTION, Purpose.CODE, Purpose.REFRESH_TOKEN))
"""What holds a code, a verifier or a token of the identity provider. After a change of policy to another one, or to
another client there, users log in anew; registrations and our access tokens, which name their issuer, live on."""


def upstream_name(config: SidecarConfig, proxy: ProxyConfig) -> str:
    """Give the name of an identity provider and our client there, for Seals."""
    return f"{config.issuer.issuer} {proxy.upstream.client_id}"


class Seals:
    """Seals and opens with one key ring for one issuer."""

    def __init__(self, ring: KeyRing, issuer: str, upstream: str = "") -> None:
        """Take the ring, our issuer identifier, and upstream_name() of the policy.

        upstream empty: whoever seals and opens has no identity provider, so that nothing of one is opened either.
        """
        self._keys = sorted(ring.keys, key=lambda key: key.not_before)
        self._issuer = issuer
        self._upstream = upstream
        self._derived: dict[tuple[str, Purpose], OctKey] = {}

    def seal(self, purpose: Purpose, content: bytes, now: float) -> str:
        """Give the sealed text; now is in epoch seconds. Raises ValueError when it would be too long to be opened."""
        key = self._sealing_key(now)
        sealed = jwe.encrypt_compact(_header(key, purpose), content, self._derive(key, purpose), algorithms=_ALGORITHMS)
        if len(sealed) > MAX_SEALED_BYTES:
            raise ValueError(f"{purpose.value} of {len(content)} bytes is too long to be sealed")
        return sealed

    def open(self, purpose: Purpose, sealed: str) -> bytes | None:
        """Give the content; None: not sealed for this purpose, issuer and ring, or spoilt."""
        key = self._key_of(purpose, sealed)
        if key is None:
            return None
        try:
            return jwe.decrypt_compact(sealed, self._derive(key, purpose), algorithms=_ALGORITHMS).plaintext
        except (JoseError, ValueError):
            return None

    def mac(self, purpose: Purpose, sealed: str) -> str | None:
        """Give a secret that belongs to a sealed text (HMAC-SHA256 in base64url); None: it is not one of ours."""
        key = self._key_of(purpose, sealed)
        if key is None:
            return None
        secret = _hkdf(key.secret_bytes(), f"postern/v1/{purpose.value}/mac/{self._issuer}")
        digest = hmac.new(secret, sealed.encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _sealing_key(self, now: float) -> RingKey:
        ripe = [key for key in self._keys if key.not_before <= now]
        # Before all of them, the first: clocks that are behind must not end logins.
        return ripe[-1] if ripe else self._keys[0]

    def _key_of(self, purpose: Purpose, sealed: str) -> RingKey | None:
        """Give the key that sealed the text, as its header says; None: the header is none that we write."""
        segment = sealed.partition(".")[0]
        if len(sealed) > MAX_SEALED_BYTES or len(segment) > _MAX_HEADER or not sealed.isascii():
            return None
        try:
            header = json_b64decode(segment.encode())
        except (ValueError, binascii.Error):
            return None
        # Compared whole: algorithms, compression and extensions of the sender's choice never reach the library.
        return next((key for key in self._keys if header == _header(key, purpose)), None)

    def _derive(self, key: RingKey, purpose: Purpose) -> OctKey:
        derived = self._derived.get((key.kid, purpose))
        if derived is None:
            # The issuer is a URL, so that no space in it could shift the border.
            upstream = f" {self._upstream}" if purpose in _OF_UPSTREAM else ""
            secret = _hkdf(key.secret_bytes(), f"postern/v1/{purpose.value}/{self._issuer}{upstream}")
            derived = self._derived[key.kid, purpose] = OctKey.import_key(secret)
        return derived


def _header(key: RingKey, purpose: Purpose) -> dict[str, str]:
    return {"alg": "dir", "enc": "A256GCM", "kid": key.kid, "typ": purpose.value}


def _hkdf(secret: bytes, info: str) -> bytes:
    return HKDF(SHA256(), SECRET_BYTES, salt=None, info=info.encode()).derive(secret)
