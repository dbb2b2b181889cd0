"""The directory that a sidecar outside a cluster reads: this module writes into it what a policy gives.

What only the user has (secrets, certificates) is named, never written.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from postern_crds import key_ring
from postern_crds.key_ring import SECRET_BYTES, KeyRing, RingKey, encode_secret
from postern_crds.sidecar_config import SidecarConfig, encode
from postern_crds.sidecar_files import CA_FILE, CLIENT_SECRET_FILE, INTROSPECTION_SECRET_FILE, KEYS_FILE, POLICY_FILE

__all__ = ["missing", "write"]


def write(config: SidecarConfig, directory: Path) -> None:
    """Write policy.json, and in mode Proxy keys.json unless there is one: a new ring would log everybody out.

    Raises OSError, and ValueError when the keys.json that is there is none.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if config.proxy is not None:
        _keep_or_make_keys(directory / KEYS_FILE)
    (directory / POLICY_FILE).write_text(encode(config), encoding="utf-8")


def missing(config: SidecarConfig, directory: Path) -> Iterator[str]:
    """List what the user has to put there still, each with the field that asks for it."""
    remote = config.verification.remote
    needed = [
        (config.issuer.private_ca, "spec.caBundle", "the PEM certificates", CA_FILE),
        (
            config.proxy is not None and config.proxy.upstream.auth_method != "none",
            "spec.proxy.client.secretRef",
            "the client's secret",
            CLIENT_SECRET_FILE,
        ),
        (
            remote is not None and remote.secret_file == INTROSPECTION_SECRET_FILE,
            "spec.verification.introspection.secretRef",
            "the secret for introspection",
            INTROSPECTION_SECRET_FILE,
        ),
    ]
    for is_needed, field, what, file in needed:
        if is_needed and not (directory / file).exists():
            place = f"{directory / file} beside {POLICY_FILE}"
            yield f"{field}: put {what} as {place}; the sidecar answers 503 until it is there"


def _keep_or_make_keys(file: Path) -> None:
    ring = KeyRing((RingKey(kid="local", secret=encode_secret(secrets.token_bytes(SECRET_BYTES)), not_before=0),))
    try:
        # Created for its owner alone: whoever reads it can make tokens.
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            key_ring.decode(file.read_bytes())
        except ValueError as e:
            raise ValueError(f"{file}: is no key ring ({e}): remove it, and a new one is made") from e
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(key_ring.encode(ring))
