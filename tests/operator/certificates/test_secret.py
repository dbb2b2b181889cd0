import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from postern_operator.certificates.building import build_authority, build_leaf, host_names
from postern_operator.certificates.plan import Action, plan
from postern_operator.certificates.secret import Material, next_material, published, read, state, write

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOSTS = host_names("postern-webhook", "postern-system")
KEY = ("postern-system", "cert")


def created() -> Material:
    made = next_material(Action.CREATE, None, HOSTS, NOW)
    assert made is not None
    return made


def is_trusted(leaf: bytes, bundle: bytes, at: datetime) -> bool:
    """Tell whether an API server with this bundle takes the leaf for the Service's name."""
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(HOSTS[0]))
    try:
        verifier.verify(x509.load_pem_x509_certificate(leaf), [])
    except VerificationError:
        return False
    return True


def test_leaf_is_for_all_names_of_the_service() -> None:
    leaf = x509.load_pem_x509_certificate(created().leaf.certificate)
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == [
        "postern-webhook.postern-system.svc",
        "postern-webhook.postern-system.svc.cluster.local",
        "postern-webhook.postern-system",
    ]
    assert is_trusted(created().leaf.certificate, created().bundle, NOW) is False  # two authorities are two
    one = created()
    assert is_trusted(one.leaf.certificate, one.bundle, NOW)


def test_leaf_never_outlives_its_authority() -> None:
    authority = build_authority(NOW - timedelta(days=5 * 365 - 10))
    leaf = x509.load_pem_x509_certificate(build_leaf(authority, HOSTS, NOW).certificate)
    assert leaf.not_valid_after_utc == x509.load_pem_x509_certificate(authority.certificate).not_valid_after_utc


def test_two_authorities_never_share_a_name() -> None:
    first, second = (x509.load_pem_x509_certificate(build_authority(NOW).certificate) for _ in range(2))
    assert first.subject != second.subject


def test_what_is_written_is_read_back() -> None:
    material = published(created(), NOW)
    assert read(write(material, KEY, None)) == material


def test_new_secret_has_no_version_and_an_updated_one_keeps_its_own() -> None:
    fresh = write(created(), KEY, None)
    assert "resourceVersion" not in fresh["metadata"]
    assert fresh["type"] == "kubernetes.io/tls"
    metadata = {"name": "cert", "namespace": "postern-system", "resourceVersion": "7", "annotations": {"theirs": "1"}}
    updated = write(created(), KEY, {"type": "Opaque", "metadata": metadata})
    assert updated["metadata"]["resourceVersion"] == "7"
    assert updated["metadata"]["annotations"] == {"theirs": "1"}
    assert updated["type"] == "Opaque"


def rsa_key() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ca.key": b"nonsense"}, id="no key"),
        pytest.param({"ca.key": build_authority(NOW).key}, id="key of another authority"),
        pytest.param({"tls.key": build_authority(NOW).key}, id="key of another leaf"),
        pytest.param({"ca.key": rsa_key()}, id="foreign kind of key"),
        pytest.param({"tls.crt": b""}, id="empty certificate"),
        pytest.param({"ca.crt": None}, id="missing bundle"),
    ],
)
def test_unusable_secret_is_made_anew(change: dict[str, bytes | None]) -> None:
    secret: dict[str, Any] = write(created(), KEY, None)
    for name, value in change.items():
        if value is None:
            del secret["data"][name]
        else:
            secret["data"][name] = base64.b64encode(value).decode()
    assert read(secret) is None
    assert plan(None, NOW) is Action.CREATE


def test_not_even_base64_is_unusable() -> None:
    secret = write(created(), KEY, None)
    secret["data"]["ca.key"] = "!"
    assert read(secret) is None


def test_leaf_is_trusted_at_every_moment_of_eleven_years_of_rotation() -> None:
    """Walk through time as the keeper does; API servers and pods follow the Secret with the delays they may have."""
    now, end = NOW, NOW + timedelta(days=11 * 365)
    material, actions = created(), []
    bundle_seen, leaf_seen = material.bundle, material.leaf.certificate
    while now < end:
        action = plan(state(material, HOSTS), now)
        following = next_material(action, material, HOSTS, now)
        if following is not None:
            actions.append(action)
            # The old leaf is still served while the new bundle is there, and the new leaf meets the old bundle.
            assert is_trusted(leaf_seen, following.bundle, now)
            if action is not Action.ADD_AUTHORITY:
                assert is_trusted(following.leaf.certificate, bundle_seen, now)
            material = following
            now += timedelta(minutes=2)
        bundle_seen, leaf_seen = material.bundle, material.leaf.certificate
        if material.published_at is None:
            material = published(material, now)
        assert is_trusted(leaf_seen, bundle_seen, now)
        now += timedelta(minutes=30) if material.older else timedelta(days=5)
    assert actions.count(Action.ADD_AUTHORITY) == actions.count(Action.DROP_OLD) == 3
    assert Action.CREATE not in actions
    assert actions.count(Action.RENEW_LEAF) > 60
