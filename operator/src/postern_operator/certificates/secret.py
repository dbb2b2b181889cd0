"""The Secret that keeps authority and leaf: this module is its layout and each step of the plan on it."""

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, assert_never

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from postern_crds.v1alpha1 import GROUP
from postern_operator import names
from postern_operator.certificates.building import CLOCK_SKEW, Pair, build_authority, build_leaf
from postern_operator.certificates.plan import Action, State

__all__ = ["Material", "next_material", "published", "read", "state", "trusting", "write"]

_PUBLISHED = f"{GROUP}/bundle-published"
"""Annotation: when the present bundle was first seen in the webhook configuration (RFC 3339)."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the Secret holds, PEM."""

    authority: Pair
    """The newest one."""
    older: tuple[bytes, ...]
    """Certificates of older authorities that are still trusted."""
    leaf: Pair
    published_at: datetime | None

    @property
    def bundle(self) -> bytes:
        """What API servers should trust: newest authority first."""
        return b"".join((self.authority.certificate, *self.older))


def read(secret: dict[str, Any] | None) -> Material | None:
    """Read a Secret; None when it is absent or when anything in it is missing or unusable."""
    if secret is None:
        return None
    try:
        data = {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
        return _material(data, (secret["metadata"].get("annotations") or {}).get(_PUBLISHED))
    except (KeyError, ValueError, TypeError, binascii.Error):
        return None


def _material(data: dict[str, bytes], published_text: str | None) -> Material | None:
    public = _public(data["ca.key"])
    authorities = x509.load_pem_x509_certificates(data["ca.crt"])
    newest = [c for c in authorities if _der(c.public_key()) == public]
    leaf = x509.load_pem_x509_certificate(data["tls.crt"])
    if not newest or _der(leaf.public_key()) != _public(data["tls.key"]):
        return None
    return Material(
        authority=Pair(_pem(newest[0]), data["ca.key"]),
        older=tuple(_pem(c) for c in authorities if _der(c.public_key()) != public),
        leaf=Pair(data["tls.crt"], data["tls.key"]),
        published_at=datetime.fromisoformat(published_text) if published_text else None,
    )


def state(material: Material, host_names: tuple[str, ...]) -> State:
    """Give what the plan looks at."""
    authority = x509.load_pem_x509_certificate(material.authority.certificate)
    leaf = x509.load_pem_x509_certificate(material.leaf.certificate)
    return State(
        authority_from=authority.not_valid_before_utc + CLOCK_SKEW,
        authority_until=authority.not_valid_after_utc,
        leaf_from=leaf.not_valid_before_utc + CLOCK_SKEW,
        leaf_until=leaf.not_valid_after_utc,
        names_fit=set(host_names) <= _host_names(leaf),
        leaf_is_current=_is_issued_by(leaf, authority),
        has_old_authorities=bool(material.older),
        published_at=material.published_at,
    )


def next_material(
    action: Action, material: Material | None, host_names: tuple[str, ...], now: datetime
) -> Material | None:
    """Do a step of the plan; None when there is nothing to write. Keeps no authority that has expired."""
    if material is None or action is Action.CREATE:
        authority = build_authority(now)
        return Material(authority, (), build_leaf(authority, host_names, now), None)
    older = tuple(c for c in material.older if x509.load_pem_x509_certificate(c).not_valid_after_utc > now)
    leaf, published_at = material.leaf, material.published_at
    match action:
        case Action.NOTHING:
            return None
        case Action.ADD_AUTHORITY:
            return Material(build_authority(now), (material.authority.certificate, *older), leaf, None)
        case Action.RENEW_LEAF:
            return Material(material.authority, older, build_leaf(material.authority, host_names, now), published_at)
        case Action.DROP_OLD:
            return Material(material.authority, (), leaf, published_at)
    assert_never(action)


def published(material: Material, now: datetime) -> Material:
    """Give the material with the note that its bundle is in the webhook configuration."""
    return Material(material.authority, material.older, material.leaf, now.astimezone(UTC))


def trusting(material: Material, bundle: bytes, now: datetime) -> Material:
    """Give new material that also trusts the authorities of a published bundle (PEM, or anything else) for a while.

    When the Secret was lost, webhook pods go on showing the old leaf until the kubelet brings them the new one.
    """
    try:
        found = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return material
    still_valid = tuple(_pem(c) for c in found if c.not_valid_after_utc > now)
    return replace(material, older=tuple(c for c in still_valid if c != material.authority.certificate))


def write(material: Material, key: tuple[str, str], present: dict[str, Any] | None) -> dict[str, Any]:
    """Give the Secret to write: a new one at (namespace, name), or the present one with our content.

    The present one's resourceVersion stays, so that a write on top of somebody else's is a conflict.
    """
    values = {
        "ca.crt": material.bundle,
        "ca.key": material.authority.key,
        "tls.crt": material.leaf.certificate,
        "tls.key": material.leaf.key,
    }
    metadata: dict[str, Any] = {"namespace": key[0], "name": key[1]} | (present or {}).get("metadata", {})
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != _PUBLISHED}
    if material.published_at is not None:
        annotations[_PUBLISHED] = material.published_at.isoformat(timespec="seconds")
    metadata["annotations"] = annotations
    metadata["labels"] = (metadata.get("labels") or {}) | {names.MANAGED_LABEL: "true"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": (present or {}).get("type", "kubernetes.io/tls"),
        "metadata": metadata,
        "data": {name: base64.b64encode(value).decode() for name, value in values.items()},
    }


def _host_names(leaf: x509.Certificate) -> set[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(found.get_values_for_type(x509.DNSName))


def _is_issued_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _der(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _public(private_key: bytes) -> bytes:
    key = serialization.load_pem_private_key(private_key, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not an elliptic curve key, so not one of ours")
    return _der(key.public_key())
