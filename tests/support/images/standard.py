"""The images that others are built on, made from package registries alone."""

import platform
import sys
from pathlib import Path

from tests.support.images.archives import archive_of, make
from tests.support.images.buildah import ImageSource
from tests.support.images.cache import content_key
from tests.support.images.debian import install_missing
from tests.support.images.errors import SetupError
from tests.support.images.processes import run
from tests.support.images.progress import Progress

UV_VERSION = "0.13.8"
NODE_VERSION = "22.23.3"

BASE_TAG = "localhost/postern-base:dev"
UV_TAG = f"localhost/uv:{UV_VERSION}"
NODE_TAG = "localhost/node:22"

BASE_PACKAGES = ("python3-minimal", "libpython3-stdlib", "python3", "ca-certificates", "nftables")
"""On top of Debian's essential packages; nftables is for the container that redirects a pod's ports."""

LEFT_OUT = ("man", "doc", "locale", "info")
"""Folders of /usr/share that no container reads."""

APT_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))

BASE_DOCKERFILE = """\
FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONUNBUFFERED=1
CMD ["python3"]
"""
UV_DOCKERFILE = 'FROM scratch\nCOPY uv uvx /\nENTRYPOINT ["/uv"]\n'
NODE_DOCKERFILE = f'FROM {BASE_TAG}\nCOPY lib/ /usr/lib/\nCOPY bin/node /usr/local/bin/node\nCMD ["node"]\n'
NODE_LIBRARY = "libstdc++6"
"""What the node program is linked with and the base image lacks."""
PAUSE_TAG = "localhost/pause:dev"
PAUSE_DOCKERFILE = 'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'


def base_image(progress: Progress | None = None) -> Path:
    """The archive of ``BASE_TAG``: Debian with Python and its whole library, CA certificates and ``nft``."""
    report = progress or Progress()
    key = content_key([BASE_DOCKERFILE, *BASE_PACKAGES, *LEFT_OUT, platform.machine()])
    return make(BASE_TAG, key, _prepare_base, progress=report)


def uv_image(progress: Progress | None = None) -> Path:
    """The archive of ``UV_TAG``: the uv program alone, for ``COPY --from``."""
    key = content_key([UV_DOCKERFILE, UV_VERSION, platform.machine()])
    return make(UV_TAG, key, _prepare_uv, progress=progress or Progress())


def node_image(progress: Progress | None = None) -> Path:
    """The archive of ``NODE_TAG``: the base image with Node.js."""
    report = progress or Progress()
    base = base_image(report)
    key = content_key([NODE_DOCKERFILE, NODE_VERSION, NODE_LIBRARY, platform.machine(), base.name])
    return make(NODE_TAG, key, _prepare_node, progress=report)


def pause_image(program: Path, progress: Progress | None = None) -> Path:
    """The archive of ``PAUSE_TAG``: ``program``, which holds a pod's namespaces, and nothing else."""
    key = content_key([PAUSE_DOCKERFILE, program])

    def prepare(folder: Path) -> ImageSource:
        (folder / "pause").write_bytes(program.read_bytes())
        (folder / "pause").chmod(0o755)
        return _source(folder, PAUSE_DOCKERFILE)

    return make(PAUSE_TAG, key, prepare, progress=progress or Progress())


def _source(folder: Path, dockerfile: str, bases: tuple[Path, ...] = ()) -> ImageSource:
    (folder / "Dockerfile").write_text(dockerfile)
    return ImageSource(tag="", dockerfile=folder / "Dockerfile", context=folder, bases=bases)


def _prepare_base(folder: Path) -> ImageSource:
    sources = next((path for path in APT_SOURCES if path.exists()), None)
    if sources is None:
        raise SetupError(f"no apt sources in {' or '.join(map(str, APT_SOURCES))}: the base image is made from them")
    options = [
        "--mode=root",
        "--variant=essential",
        f"--include={','.join(BASE_PACKAGES)}",
        '--aptopt=Acquire::Languages "none"',
        '--aptopt=APT::Install-Recommends "false"',
        *[f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT],
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    ]
    command = ["mmdebstrap", "--quiet", *options, "", str(folder / "rootfs.tar"), str(sources)]
    run(command, purpose="making the base image's root file system")
    return _source(folder, BASE_DOCKERFILE)


def _prepare_uv(folder: Path) -> ImageSource:
    python = sys.executable
    try:
        run([python, "-m", "pip", "--version"], purpose="looking for pip")
    except SetupError:
        install_missing({"/usr/lib/python3/dist-packages/pip": "python3-pip"}, Progress())
        python = "/usr/bin/python3"
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        f"--target={folder / 'wheel'}",
    ]
    run([python, "-m", "pip", "install", *options, f"uv=={UV_VERSION}"], purpose=f"fetching uv {UV_VERSION}")
    for program in ("uv", "uvx"):
        (folder / "wheel" / "bin" / program).rename(folder / program)
    return _source(folder, UV_DOCKERFILE)


def _prepare_node(folder: Path) -> ImageSource:
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"node-linux-{machine}"
    run(
        ["npm", "pack", "--silent", "--pack-destination", folder, f"{package}@{NODE_VERSION}"],
        purpose=f"fetching Node.js {NODE_VERSION} with npm",
    )
    archive = folder / f"{package}-{NODE_VERSION}.tgz"
    run(["tar", "-xzf", archive, "-C", folder, "--strip-components=1", "package/bin/node"], purpose="unpacking Node.js")
    archive.unlink()
    run(["apt-get", "update", "-qq"], purpose="apt-get update")
    run(["apt-get", "download", "-qq", NODE_LIBRARY], purpose=f"fetching {NODE_LIBRARY}", cwd=folder)
    package_file = next(folder.glob("*.deb"))
    run(["dpkg-deb", "-x", package_file, folder / "library"], purpose=f"unpacking {NODE_LIBRARY}")
    (folder / "library" / "usr" / "lib").rename(folder / "lib")
    return _source(folder, NODE_DOCKERFILE, (archive_of(BASE_TAG),))
