"""Reading the rendered policy as one consistent set: this module is the only reader of the configuration directory.

The kubelet swaps all files of a volume by renaming ``..data``; reading everything through one descriptor of that
directory never mixes two generations. A plain directory works as well.
"""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import msgspec

from postern_crds.sidecar_config import SidecarConfig, decode

__all__ = ["ConfigFault", "Files", "Loaded", "judge", "read"]

_POLICY_FILE = "policy.json"
_CA_FILE = "ca.crt"
_MAX_FILE_BYTES = 4 * 1024 * 1024
"""Above what a ConfigMap can hold."""
_ATTEMPTS = 5
_RENDER_ADVICE = "write it again with 'postern-operator render', or look at the conditions of the policy"


@dataclass(frozen=True, slots=True)
class Files:
    """The contents of the directory at one moment; equal contents compare equal."""

    policy: bytes | None
    """None: absent."""
    ca: bytes | None
    """None: absent."""
    problem: str | None = None
    """Why the directory or a file in it could not be read at all."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that holds together."""

    config: SidecarConfig
    ca_pem: bytes | None


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """Why there is no usable policy."""

    file: str
    fault: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}: {self.fault}; {self.advice}"


def read(directory: Path) -> Files:
    """Read the files. Never raises: what cannot be read is a problem to report."""
    try:
        return _read_settled(directory)
    except OSError as error:
        return Files(None, None, f"cannot be read ({error.strerror or error})")


def judge(directory: Path, files: Files) -> Loaded | ConfigFault:
    """Validate the whole; directory is named in the fault."""
    path = str(directory / _POLICY_FILE)
    if files.problem is not None:
        return ConfigFault(str(directory), files.problem, "check the mount and its permissions")
    if files.policy is None:
        return ConfigFault(path, "is missing", "mount the rendered policy, or check --config")
    if not files.policy.strip():
        return ConfigFault(path, "is empty", _RENDER_ADVICE)
    try:
        config = decode(files.policy)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return ConfigFault(path, str(error), _RENDER_ADVICE)
    if files.ca is not None:
        fault = _certificate_fault(files.ca)
        if fault is not None:
            return ConfigFault(str(directory / _CA_FILE), fault, "put PEM certificates into the caBundle of the policy")
    return Loaded(config, files.ca)


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
        return Files(_read_file(_POLICY_FILE, descriptor), _read_file(_CA_FILE, descriptor))
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


def _certificate_fault(pem: bytes) -> str | None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        return f"holds no valid PEM certificate ({error})"
    return None
