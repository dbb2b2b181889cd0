"""Which keys may have signed a token: this module reads a JSON Web Key Set (RFC 7517)."""

import hashlib
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.util import urlsafe_b64decode

from postern_sidecar.logs import get_logger
from postern_sidecar.strict_json import read_object

__all__ = ["MAX_KEYS", "KeyRing", "SigningKey", "read_keys"]

MAX_KEYS = 128
"""More are ignored; issuers publish a handful."""
_RSA_BITS = range(2048, 16385)
"""RFC 7518 section 3.3 asks for 2048 at least; the upper bound keeps a verification below a millisecond or two."""
_RSA_ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"))
_CURVE_ALGORITHMS = {
    ("EC", "P-256"): frozenset(("ES256",)),
    ("EC", "P-384"): frozenset(("ES384",)),
    ("EC", "P-521"): frozenset(("ES512",)),
    # RFC 9864 names the algorithm after its curve; most issuers still say EdDSA.
    ("OKP", "Ed25519"): frozenset(("EdDSA", "Ed25519")),
}
_MEMBERS = ("kty", "n", "e", "crv", "x", "y")
"""What a public key consists of (RFC 7518 section 6)."""
_EDDSA = frozenset(("EdDSA", "Ed25519"))


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key, and what it may be used for."""

    kid: str | None
    key: Key
    algorithms: frozenset[str]
    """Values of alg that fit its type, its curve, and its own alg member."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The usable keys of an issuer; never empty when it comes from read_keys."""

    keys: tuple[SigningKey, ...]
    digest: bytes
    """SHA-256 of the document."""

    def knows(self, kid: str) -> bool:
        """Whether there is a key of this name."""
        return any(key.kid == kid for key in self.keys)

    def candidates(self, kid: str | None, algorithm: str) -> tuple[SigningKey, ...]:
        """Give the keys that may verify: those of this name that fit; without a name the one that fits, if just one."""
        fitting = tuple(key for key in self.keys if algorithm in key.algorithms)
        if kid is not None:
            return tuple(key for key in fitting if key.kid == kid)
        return fitting if len(fitting) == 1 else ()


def read_keys(body: bytes, previous: KeyRing | None = None) -> KeyRing:
    """Read a key set, leaving out each key that is foreign, broken, weak, or not for signatures (RFC 7517 section 5).

    Gives previous itself when the document is the same. Raises ValueError when it is no key set or no key is left,
    since an empty set would make every token a forgery.
    """
    digest = hashlib.sha256(body).digest()
    if previous is not None and previous.digest == digest:
        return previous
    entries = read_object(body).get("keys")
    if not isinstance(entries, list):
        raise ValueError("has no array 'keys'")  # noqa: TRY004 - bad input, like any other fault of a document
    keys: list[SigningKey] = []
    for entry in entries[:MAX_KEYS]:
        try:
            keys.append(_read_key(entry))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            kid = entry.get("kid") if isinstance(entry, dict) else None
            get_logger("postern.keys").debug("key skipped", kid=kid, cause=str(error))
    if not keys:
        raise ValueError(f"none of {len(entries)} keys is usable")
    return KeyRing(tuple(keys), digest)


def _read_key(entry: Any) -> SigningKey:
    if not isinstance(entry, dict):
        raise TypeError("not an object")
    _check_purpose(entry)
    kid = entry.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("kid is not a string")
    if any(not isinstance(entry.get(name, ""), str) for name in _MEMBERS):
        raise TypeError(f"one of {', '.join(_MEMBERS)} is not a string")
    fitting = _fitting(entry)
    stated = entry.get("alg")
    if stated is not None:
        fitting &= _EDDSA if stated in _EDDSA else frozenset((stated,))
    if not fitting:
        raise ValueError(f"alg {stated!r} does not fit kty {entry.get('kty')!r}")
    return SigningKey(kid, _import(entry), fitting)


def _check_purpose(entry: dict[str, Any]) -> None:
    if entry.get("use", "sig") != "sig":
        raise ValueError("use is not sig")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("key_ops does not contain verify")
    if "d" in entry or "k" in entry:
        raise ValueError("a private or shared key: whoever reads the set can sign with it")


def _fitting(entry: dict[str, Any]) -> frozenset[str]:
    if entry.get("kty") == "RSA":
        bits = int.from_bytes(urlsafe_b64decode(entry["n"].encode())).bit_length()
        if bits not in _RSA_BITS:
            raise ValueError(f"RSA key of {bits} bits")
        return _RSA_ALGORITHMS
    fitting = _CURVE_ALGORITHMS.get((entry.get("kty", ""), entry.get("crv", "")))
    if fitting is None:
        raise ValueError(f"kty {entry.get('kty')!r} with crv {entry.get('crv')!r} is not supported")
    return fitting


def _import(entry: dict[str, Any]) -> Key:
    # Only the key itself: a certificate or URL in the set is nothing to us, and must not make the key unreadable.
    members: dict[str, Any] = {name: entry[name] for name in _MEMBERS if name in entry}
    match entry["kty"]:
        case "RSA":
            return RSAKey.import_key(members)
        case "EC":
            return ECKey.import_key(members)
        case _:
            return OKPKey.import_key(members)
