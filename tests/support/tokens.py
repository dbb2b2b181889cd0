"""Real tokens: keys of each type, and JWTs signed with them, good or wrong in any way."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["SigningPair", "claims_for", "encode", "issue", "make_pair", "sign_raw"]

_CURVES: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


@dataclass(frozen=True, slots=True)
class SigningPair:
    """A private key that signs with one algorithm."""

    kid: str
    algorithm: str
    private: Any

    def jwk(self, **members: Any) -> dict[str, Any]:
        """The public key as a member of a key set; ``members`` are added, those that are None left out."""
        public = _public_members(self.private.public_key())
        return _without_none({**public, "kid": self.kid, "use": "sig", "alg": self.algorithm, **members})

    def sign(self, data: bytes) -> bytes:
        """The raw JWS signature (RFC 7518 section 3)."""
        if self.algorithm in ("EdDSA", "Ed25519"):
            return bytes(self.private.sign(data))
        digest = _HASHES[self.algorithm[2:]]
        if self.algorithm.startswith("RS"):
            return bytes(self.private.sign(data, padding.PKCS1v15(), digest))
        if self.algorithm.startswith("PS"):
            pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
            return bytes(self.private.sign(data, pss, digest))
        size = (self.private.curve.key_size + 7) // 8
        first, second = decode_dss_signature(self.private.sign(data, ec.ECDSA(digest)))
        return first.to_bytes(size, "big") + second.to_bytes(size, "big")


def make_pair(kid: str, algorithm: str = "RS256", *, bits: int = 2048) -> SigningPair:
    """A new key; an RSA key takes a tenth of a second, so keep it for a module."""
    if algorithm in ("EdDSA", "Ed25519"):
        return SigningPair(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
    if algorithm in _CURVES:
        return SigningPair(kid, algorithm, ec.generate_private_key(_CURVES[algorithm]))
    return SigningPair(kid, algorithm, rsa.generate_private_key(65537, bits))


def claims_for(issuer: str, audience: str | list[str], now: float, **changes: Any) -> dict[str, Any]:
    """Claims of a good access token that is good for ten minutes; changes to None leave a claim out."""
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": "alice",
        "client_id": "client-1",
        "scope": "mcp:read",
        "iat": int(now),
        "exp": int(now) + 600,
    }
    return _without_none({**claims, **changes})


def issue(pair: SigningPair, claims: Mapping[str, Any], **header: Any) -> str:
    """A signed token; ``header`` replaces members of the header, None leaves one out."""
    members = _without_none({"alg": pair.algorithm, "typ": "at+jwt", "kid": pair.kid, **header})
    return sign_raw(pair, json.dumps(members).encode(), json.dumps(claims).encode())


def sign_raw(pair: SigningPair, header: bytes, payload: bytes) -> str:
    """A signed token of these very bytes."""
    data = f"{encode(header)}.{encode(payload)}"
    return f"{data}.{encode(pair.sign(data.encode()))}"


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _public_members(public: Any) -> dict[str, str]:
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
    numbers = public.public_numbers()
    if isinstance(public, rsa.RSAPublicKey):
        return {"kty": "RSA", "n": _integer(numbers.n, (public.key_size + 7) // 8), "e": "AQAB"}
    size = (public.curve.key_size + 7) // 8
    curve = f"P-{public.curve.key_size}"
    return {"kty": "EC", "crv": curve, "x": _integer(numbers.x, size), "y": _integer(numbers.y, size)}


def _integer(number: int, size: int) -> str:
    return encode(number.to_bytes(size, "big"))


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
