"""The master keys of an installation, changed as docs/keys.md says, but with keys of a chosen age."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from tests.support.kube import Kube

MASTER_KEYS = "postern-master-keys"


def master_name(age: timedelta) -> str:
    """Give the name of a master key that was made so long ago."""
    return (datetime.now(UTC) - age).strftime("%Y%m%dT%H%M%SZ")


def add_master_key(system: Kube, age: timedelta) -> str:
    """Rotate as docs/keys.md says, but with a key of some age, which seals at once; give its name."""
    name = master_name(age)
    data = {name: base64.b64encode(secrets.token_bytes(32)).decode()}
    system.run("patch", "secret", MASTER_KEYS, "--type=merge", "-p", json.dumps({"data": data}))
    return name


def remove_master_key(system: Kube, name: str) -> None:
    """Revoke as docs/keys.md says."""
    patch = [{"op": "remove", "path": f"/data/{name}"}]
    system.run("patch", "secret", MASTER_KEYS, "--type=json", "-p", json.dumps(patch))


@contextmanager
def own_master_key(system: Kube, age: timedelta) -> Iterator[str]:
    """One master key of that age and no other, during the block; what was there before comes back."""
    before = system.get("secrets", "--field-selector", f"metadata.name={MASTER_KEYS}")["items"]
    name = master_name(age)
    _write(system, "replace" if before else "create", {name: base64.b64encode(secrets.token_bytes(32)).decode()})
    try:
        yield name
    finally:
        if before:
            _write(system, "replace", before[0].get("data", {}))
        else:
            system.run("delete", "secret", MASTER_KEYS)


def _write(system: Kube, verb: str, data: dict[str, str]) -> None:
    """Write the Secret whole: applied, it would keep what is in it."""
    whole = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": MASTER_KEYS}, "type": "Opaque", "data": data}
    system.run(verb, "-f", "-", stdin=json.dumps(whole))


def key_of(token: str) -> str:
    """Give the name of the master key from which a sealed token's key was derived."""
    header = token.partition(".")[0]
    kid: str = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    return kid.partition("-")[0]
