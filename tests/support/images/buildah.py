"""Builds one image with buildah and writes it as an oci-archive.

Every build has its own storage and its own mount namespace, both gone afterwards: nothing of it stays mounted,
builds do not wait for each other, and the archives in the cache are all there is. No registry is asked.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.images.cache import cache_root
from tests.support.images.processes import run

CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
"""Settings of this machine that say where Python packages come from; a RUN step uses the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """What one image is built from; ``bases`` are the archives of the ``localhost/`` images it names."""

    tag: str
    dockerfile: Path
    context: Path
    build_args: Mapping[str, str] = field(default_factory=dict)
    bases: tuple[Path, ...] = ()


def build_archive(source: ImageSource, archive: Path, *, work: Path) -> None:
    """Builds ``source`` into the file ``archive``; ``work`` is an empty folder for storage and temporary files.

    RUN steps use this machine's network, trust its certificate authorities and share a cache of wheels;
    of that, nothing gets into the image.
    """
    purpose = f"building {source.tag}"
    buildah = _buildah(work)
    env = _environment(work)
    for base in source.bases:
        run([*buildah, "pull", "--quiet", f"oci-archive:{base}"], purpose=f"{purpose}: reading {base}", env=env)
    arguments = [f"--build-arg={name}={value}" for name, value in source.build_args.items()]
    options = ["--isolation=chroot", "--pull=never", "--layers=false", "--format=oci", "--quiet", *_volumes(work)]
    names = ["--tag", source.tag, "--file", str(source.dockerfile), str(source.context)]
    run([*buildah, "build", *options, *arguments, *names], purpose=purpose, env=env)
    run([*buildah, "push", "--quiet", source.tag, f"oci-archive:{archive}:{source.tag}"], purpose=purpose, env=env)


def _buildah(work: Path) -> list[str]:
    # buildah writes a cache into /var/lib/containers whatever it is told: here it finds a folder of its own.
    for folder in ("var-lib", "storage", "run", "tmp"):
        (work / folder).mkdir(exist_ok=True)
    return [
        *["unshare", "--mount", "--propagation=private", "sh", "-ec", 'mount --bind "$0" /var/lib; exec "$@"'],
        *[str(work / "var-lib"), "buildah", f"--root={work / 'storage'}", f"--runroot={work / 'run'}"],
        "--storage-driver=overlay",
    ]


def _environment(work: Path) -> dict[str, str]:
    configuration = work / "containers.conf"
    configuration.write_text(f'[network]\nnetwork_config_dir = "{work / "networks"}"\n')
    return {"CONTAINERS_CONF": str(configuration), "TMPDIR": str(work / "tmp")}


def _uv_settings(work: Path) -> Path:
    # A variable cannot do this: what buildah gives a RUN step is written into the image too.
    lines = ["system-certs = true", 'link-mode = "copy"', 'python-downloads = "never"']
    index = next((os.environ[name] for name in INDEX_VARIABLES if name in os.environ), None)
    if index is not None:
        lines.append(f'index-url = "{index}"')
    settings = work / "uv.toml"
    settings.write_text("\n".join(lines) + "\n")
    return settings


def _volumes(work: Path) -> list[str]:
    wheels = cache_root() / "uv"
    wheels.mkdir(parents=True, exist_ok=True)
    # Paths inside the image being built, where its root user has uv's cache and settings.
    volumes = [f"--volume={wheels}:/root/.cache/uv", f"--volume={_uv_settings(work)}:/etc/uv/uv.toml:ro"]
    if CA_FILE.exists():
        volumes.append(f"--volume={CA_FILE}:{CA_FILE}:ro")
    return volumes
