"""Reading the rendered policy as one consistent set: this module is the only reader of the configuration directory.

The kubelet swaps all files of a volume by renaming ``..data``; reading everything through one descriptor of that
directory never mixes two generations. A plain directory works as well.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from postern_crds import key_ring
from postern_crds.key_ring import KeyRing
from postern_crds.sidecar_config import SidecarConfig, decode
from postern_crds.sidecar_files import CA_FILE, CLIENT_SECRET_FILE, INTROSPECTION_SECRET_FILE, KEYS_FILE, POLICY_FILE
from postern_sidecar.material import Material

__all__ = ["ConfigFault", "Files", "Loaded", "judge", "read"]

_SECRET_FILES = (CLIENT_SECRET_FILE, INTROSPECTION_SECRET_FILE)
_FILES = (POLICY_FILE, CA_FILE, KEYS_FILE, *_SECRET_FILES)
_MAX_FILE_BYTES = 4 * 1024 * 1024
"""Above what a ConfigMap can hold."""
_MAX_SECRET_BYTES = 4096
"""It must fit into a header."""
_ATTEMPTS = 5
_RENDER_ADVICE = "write it again with 'postern-operator render', or look at the conditions of the policy"
_KEYS_ADVICE = "delete it: the operator, or 'postern-operator render', makes a new one"
_SECRET_ADVICE = "put the secret of the client into it as text"  # noqa: S105 - advice


@dataclass(frozen=True, slots=True)
class Files:
    """The contents of the directory at one moment; equal contents compare equal."""

    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """By name, of the files that are ours; those that are absent are not in it."""
    problem: str | None = None
    """Why the directory or a file in it could not be read at all."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that holds together."""

    config: SidecarConfig
    material: Material = field(default_factory=Material)


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """Why there is no usable policy."""

    file: str
    fault: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}: {self.fault}; {self.advice}"


class _UnusableFile(ValueError):
    """Raised for a file beside the policy that is there and cannot be used; carries the fault."""

    def __init__(self, name: str, fault: str, advice: str) -> None:
        super().__init__(fault)
        self.name = name
        self.advice = advice


def read(directory: Path) -> Files:
    """Read the files. Never raises: what cannot be read is a problem to report."""
    try:
        return _read_settled(directory)
    except OSError as error:
        return Files(problem=f"cannot be read ({error.strerror or error})")


def judge(directory: Path, files: Files) -> Loaded | ConfigFault:
    """Validate the whole; directory is named in the fault. What the policy needs and is absent is no fault."""
    path = str(directory / POLICY_FILE)
    if files.problem is not None:
        return ConfigFault(str(directory), files.problem, "check the mount and its permissions")
    policy = files.contents.get(POLICY_FILE)
    if policy is None:
        return ConfigFault(path, "is missing", "mount the rendered policy, or check --config")
    if not policy.strip():
        return ConfigFault(path, "is empty", _RENDER_ADVICE)
    try:
        config = decode(policy)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return ConfigFault(path, str(error), _RENDER_ADVICE)
    try:
        return Loaded(config, _material(config, files.contents))
    except _UnusableFile as error:
        return ConfigFault(str(directory / error.name), str(error), error.advice)


def _material(config: SidecarConfig, contents: Mapping[str, bytes]) -> Material:
    ca_pem, keys = contents.get(CA_FILE), contents.get(KEYS_FILE)
    if ca_pem is not None:
        _check_certificates(ca_pem)
    secrets = {name: _read_secret(name, contents[name]) for name in _SECRET_FILES if name in contents}
    return Material(
        ca_pem=ca_pem,
        ring=_read_ring(keys) if keys is not None and config.mode == "Proxy" else None,
        secrets={name: secret for name, secret in secrets.items() if secret},
    )


def _read_ring(text: bytes) -> KeyRing | None:
    if not text.strip():
        return None
    try:
        return key_ring.decode(text)
    except ValueError as error:
        raise _UnusableFile(KEYS_FILE, f"is not a key ring ({error})", _KEYS_ADVICE) from error


def _read_secret(name: str, content: bytes) -> str:
    """Give a secret without the newline that editors put at the end of a file."""
    if len(content) > _MAX_SECRET_BYTES:
        raise _UnusableFile(name, f"is longer than {_MAX_SECRET_BYTES} bytes", _SECRET_ADVICE)
    try:
        return content.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        # Without its cause: that would show the bytes.
        raise _UnusableFile(name, "is not UTF-8", _SECRET_ADVICE) from None


def _read_settled(directory: Path) -> Files:
    """Read until ``..data`` led to the same place before and after, so that a swap in between is not seen as a loss."""
    for _ in range(_ATTEMPTS):
        before = _generation(directory)
        files = _read_once(directory / before if before else directory)
        if _generation(directory) == before:
            return files
    raise OSError(f"{directory} changes too fast")


def _generation(directory: Path) -> str:
    """Where ``..data`` points to; empty in a plain directory."""
    try:
        return os.readlink(directory / "..data")
    except FileNotFoundError:
        return ""


def _read_once(directory: Path) -> Files:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = {name: _read_file(name, descriptor) for name in _FILES}
        return Files({name: content for name, content in found.items() if content is not None})
    finally:
        os.close(descriptor)


def _read_file(name: str, directory: int) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY, dir_fd=directory)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise OSError(f"{name} is larger than {_MAX_FILE_BYTES} bytes")
    return content


def _check_certificates(pem: bytes) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        advice = "put PEM certificates into the caBundle of the policy"
        raise _UnusableFile(CA_FILE, f"holds no valid PEM certificate ({error})", advice) from error
