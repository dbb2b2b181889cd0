"""The four images of the demo, built as archives: ``python -m examples.demo.images`` prints where they lie."""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from postern_operator import __version__
from tests.support.identity.node_modules import LOCK_FILES, NODE_PROJECT, installed_packages
from tests.support.images import BASE_TAG, NODE_TAG, UV_TAG, base_image, build, node_image, uv_image
from tests.support.images.errors import SetupError
from tests.support.images.progress import Progress
from tests.support.mcp.launch import SERVER

ROOT = Path(__file__).parents[2]
CONTAINERS = Path(__file__).parent / "containers"
REGISTRY = "localhost"
"""Where the images are when nobody pulls them: on the node."""
MEMBERS = ("crds", "operator", "sidecar")

OPERATOR = f"postern-operator:{__version__}"
SIDECAR = f"postern-sidecar:{__version__}"
IDP = f"postern-demo-idp:{__version__}"
WEATHER = f"postern-demo-weather:{__version__}"


def build_images(progress: Progress | None = None) -> list[Path]:
    """The archives of all four, tagged ``localhost/…``; only what changed is built. ``SetupError`` when one fails."""
    report = progress or Progress()
    base_image(report)
    uv_image(report)
    node_image(report)
    return [
        _product(OPERATOR, "operator", report),
        _product(SIDECAR, "sidecar", report),
        _idp(report),
        _weather(report),
    ]


def _product(tag: str, member: str, progress: Progress) -> Path:
    inputs = [ROOT / "pyproject.toml", ROOT / "uv.lock", ROOT / "crds", ROOT / member]
    return build(
        f"{REGISTRY}/{tag}",
        ROOT / member / "Dockerfile",
        ROOT,
        {"BASE": BASE_TAG, "UV_IMAGE": UV_TAG},
        key_inputs=inputs,
        progress=progress,
    )


def _idp(progress: Progress) -> Path:
    packages = installed_packages(progress)
    with TemporaryDirectory(prefix="postern-idp-") as folder:
        context = Path(folder)
        for source in [*NODE_PROJECT.glob("*.mjs"), *[NODE_PROJECT / name for name in LOCK_FILES]]:
            shutil.copy(source, context)
        shutil.copytree(packages, context / "node_modules", symlinks=True)
        return _build_in(context, IDP, "idp", {"BASE": NODE_TAG}, progress)


def _weather(progress: Progress) -> Path:
    with TemporaryDirectory(prefix="postern-weather-") as folder:
        context = Path(folder)
        for name in ("pyproject.toml", "uv.lock", *[f"{member}/pyproject.toml" for member in MEMBERS]):
            (context / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, context / name)
        shutil.copy(SERVER, context)
        return _build_in(context, WEATHER, "weather", {"BASE": BASE_TAG, "UV_IMAGE": UV_TAG}, progress)


def _build_in(context: Path, tag: str, name: str, arguments: dict[str, str], progress: Progress) -> Path:
    return build(
        f"{REGISTRY}/{tag}",
        CONTAINERS / f"{name}.Containerfile",
        context,
        arguments,
        key_inputs=[context],
        progress=progress,
    )


def main() -> int:
    """The exit code: 0, or 1 when an image could not be built."""
    try:
        for archive in build_images():
            print(archive)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
