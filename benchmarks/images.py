"""How large the images are: this module builds both and weighs them, ``python -m benchmarks.images``."""

import gzip
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import figures, heading, table
from examples.demo.images import OPERATOR, REGISTRY, SIDECAR, build_images
from tests.support.images import BASE_TAG
from tests.support.images.archives import archive_of

METHOD = """\
Archives as they are pushed and pulled (layers compressed), and what lies on a node's disk. Own layers are those that
the base image does not have: with a base that other images use as well, they are all that is pulled."""
MB = 2**20


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image."""

    digest: str
    packed: int
    """Bytes in the archive."""
    unpacked: int
    """Bytes of its tar file."""


def _layers(archive: Path) -> list[Layer]:
    """Read an oci-archive of one image."""
    with tarfile.open(archive) as tar:

        def blob(digest: str) -> bytes:
            file = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
            return file.read() if file is not None else b""

        index = tar.extractfile("index.json")
        manifest = json.loads(blob(json.loads(index.read() if index else b"{}")["manifests"][0]["digest"]))
        return [_layer(described, blob(described["digest"])) for described in manifest["layers"]]


def _layer(described: dict[str, str], data: bytes) -> Layer:
    unpacked = gzip.decompress(data) if described["mediaType"].endswith("gzip") else data
    return Layer(described["digest"], len(data), len(unpacked))


def main() -> None:
    """Build, weigh and print."""
    heading("Images", METHOD)
    build_images()
    below = len(_layers(archive_of(BASE_TAG)))
    rows: list[tuple[str, ...]] = []
    found: dict[str, float] = {}
    for name, tag in (("operator", OPERATOR), ("sidecar", SIDECAR)):
        layers = _layers(archive_of(f"{REGISTRY}/{tag}"))
        own = layers[below:]
        sizes = [sum(layer.packed for layer in part) / MB for part in (layers, own)]
        sizes += [sum(layer.unpacked for layer in part) / MB for part in (layers, own)]
        rows.append((name, f"{sizes[0]:.1f}", f"{sizes[2]:.1f}", str(len(own)), f"{sizes[1]:.1f}", f"{sizes[3]:.1f}"))
        found |= {f"{name}_packed_mb": sizes[0], f"{name}_unpacked_mb": sizes[2], f"{name}_own_mb": sizes[1]}
    table(("MB", "packed", "unpacked", "own layers", "packed", "unpacked"), rows)
    figures(**found)


if __name__ == "__main__":
    main()
