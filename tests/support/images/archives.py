"""Images as archives in the cache: built once for the same inputs, found again by their tag."""

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.images.buildah import ImageSource, build_archive
from tests.support.images.cache import cache_root, content_key, file_lock, need_free_space, point, scratch
from tests.support.images.debian import IMAGE_PACKAGES, install_missing, need_root
from tests.support.images.errors import SetupError
from tests.support.images.progress import Progress

RECIPE = "1"
"""Part of every key; raised when images must be built again though their inputs are the same."""

SPACE_BYTES = 2_000_000_000


def archive_of(tag: str) -> Path:
    """The archive that was last made or found for ``tag``; ``SetupError`` if there is none."""
    link = _link(tag)
    if not link.exists():
        raise SetupError(f"no image {tag} in {link.parent}: build it first")
    return link.resolve()


def build(
    tag: str,
    dockerfile: Path,
    context: Path,
    build_args: Mapping[str, str] | None = None,
    *,
    key_inputs: Sequence[Path | str],
    progress: Progress | None = None,
) -> Path:
    """The oci-archive of ``tag``, built from ``dockerfile`` unless the same was built before.

    ``key_inputs`` are the files, folders and texts that decide what is in the image; the Dockerfile, the
    arguments and the images that the arguments name (``localhost/…``, built before) count by themselves.
    """
    arguments = dict(build_args or {})
    bases = tuple(archive_of(value) for value in arguments.values() if value.startswith("localhost/"))
    source = ImageSource(tag=tag, dockerfile=dockerfile, context=context, build_args=arguments, bases=bases)
    words = [f"{name}={value}" for name, value in sorted(arguments.items())]
    key = content_key([dockerfile, *words, *[base.name for base in bases], *key_inputs])
    return make(tag, key, lambda work: source, progress=progress or Progress())


def make(tag: str, key: str, prepare: Callable[[Path], ImageSource], *, progress: Progress) -> Path:
    """The archive of ``tag`` for ``key``; built from what ``prepare`` lays out in a scratch folder if it is missing."""
    name = tag.removeprefix("localhost/").replace("/", "_").replace(":", "_")
    archive = cache_root() / "images" / f"{name}-{content_key([RECIPE, tag, key])}.tar"
    if not archive.exists():
        with file_lock(f"image-{name}", progress):
            if not archive.exists():
                _make_now(archive, tag, prepare, progress)
    point(_link(tag), archive)
    return archive


def _make_now(archive: Path, tag: str, prepare: Callable[[Path], ImageSource], progress: Progress) -> None:
    need_root()
    install_missing(IMAGE_PACKAGES, progress)
    need_free_space(SPACE_BYTES, f"building {tag}")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with scratch() as work, progress.step(f"image {tag}", "building"):
        content, store = work / "content", work / "buildah"
        content.mkdir()
        store.mkdir()
        source = replace(prepare(content), tag=tag)
        build_archive(source, work / "image.tar", work=store)
        (work / "image.tar").rename(archive)


def identity(archive: Path) -> tuple[str, str]:
    """The full tag and the manifest digest of an oci-archive."""
    try:
        with tarfile.open(archive, "r:") as tar:
            index = tar.extractfile("index.json")
            manifest = json.loads(index.read() if index else b"{}")["manifests"][0]
        return manifest["annotations"]["org.opencontainers.image.ref.name"], manifest["digest"]
    except (OSError, tarfile.TarError, LookupError, ValueError) as error:
        raise SetupError(
            f"{archive} is no tagged oci-archive: build one with python3 -m tests.support.images"
        ) from error


def _link(tag: str) -> Path:
    return cache_root() / "images" / "tags" / tag.replace("/", "_").replace(":", "_")
