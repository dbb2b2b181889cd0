"""The cluster's programs: some from Debian, the rest compiled once from the Go module proxy and kept in the cache."""

import os
import platform
import re
import shutil
from pathlib import Path

from tests.support.images.cache import cache_root, content_key, file_lock, need_free_space, scratch
from tests.support.images.debian import IMAGE_PACKAGES
from tests.support.images.errors import SetupError
from tests.support.images.processes import run, run_watched
from tests.support.images.progress import Progress

DEBIAN_PACKAGES = {
    **IMAGE_PACKAGES,
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "openssl": "openssl",
}
"""Program → package; iptables is what the CNI plugin for host ports calls."""

SOURCES = Path(__file__).parent / "go"
TARGETS = ("./hyperkube", "./coredns", "./pause", "helm.sh/helm/v4/cmd/helm")
HYPERKUBE_NAMES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
BUILD_FLAGS = ("-trimpath", "-tags=grpcnotrace,notest", "-gcflags=all=-dwarf=false")
"""Without tracing and tests, and without debug data, which alone would double the compiler's cache."""

COMPILE_SPACE_BYTES = 8_000_000_000
KEEP_BUILD_VARIABLE = "POSTERN_KEEP_BUILD"


def module_version(module: str) -> str:
    """The version of ``module`` that go.mod requires, like ``v1.36.3``."""
    found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise SetupError(f"{SOURCES / 'go.mod'} does not require {module}")
    return found[1]


def programs_folder() -> Path:
    """Where the programs of these sources are, or will be: the key changes with any of their inputs."""
    return folder_of(content_key([SOURCES, *TARGETS, *BUILD_FLAGS, *_link_flags(), platform.machine()]))


def folder_of(key: str) -> Path:
    """Where the programs with this key are."""
    return cache_root() / "cluster" / key / "bin"


def make_programs(progress: Progress) -> Path:
    """The folder with all programs, compiled now if they are not there."""
    folder = programs_folder()
    if folder.exists():
        return folder
    with file_lock("cluster-programs", progress):
        if not folder.exists():
            _need_go()
            need_free_space(COMPILE_SPACE_BYTES, "compiling Kubernetes")
            _compile(folder, progress)
    return folder


def _compile(folder: Path, progress: Progress) -> None:
    build = cache_root() / "cluster" / "build"
    env = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false -modcacherw",
        "GOWORK": "off",
        "GOCACHE": str(build / "compiled"),
        "GOMODCACHE": str(build / "modules"),
    }
    name = f"kubernetes {module_version('k8s.io/kubernetes')}"
    with scratch() as work:
        programs = work / "bin"
        programs.mkdir()
        with progress.step(name, "downloading sources (about 20 seconds the first time)"):
            listing = ["go", "list", "-deps", *BUILD_FLAGS[:2], *TARGETS]
            total = len(run(listing, purpose="downloading Go modules", cwd=SOURCES, env=env).splitlines())
        done: list[str] = []
        doing = "compiling (about 6 minutes the first time)"
        with progress.step(name, doing, detail=lambda: f", {len(done)} of {total} packages"):
            flags = [*BUILD_FLAGS, f"-ldflags={' '.join(_link_flags())}"]
            command = ["nice", "go", "build", "-v", *flags, "-o", f"{programs}/", *TARGETS]
            run_watched(command, on_line=done.append, purpose="compiling Kubernetes", cwd=SOURCES, env=env)
        for program in HYPERKUBE_NAMES:
            (programs / program).symlink_to("hyperkube")
        folder.parent.mkdir(parents=True, exist_ok=True)
        programs.rename(folder)
    if os.environ.get(KEEP_BUILD_VARIABLE) != "1":
        shutil.rmtree(build, ignore_errors=True)


def _need_go() -> None:
    wanted = re.search(r"^go (\d+)\.(\d+)", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if wanted is None:
        raise SetupError(f"{SOURCES / 'go.mod'} does not say which Go it needs")
    advice = f"install Go {wanted[1]}.{wanted[2]} or newer and put it into PATH"
    if shutil.which("go") is None:
        raise SetupError(f"no go program to compile Kubernetes with: {advice}")
    said = run(["go", "version"], purpose="asking go for its version")
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < (int(wanted[1]), int(wanted[2])):
        raise SetupError(f"{said.strip() or 'this go'} is too old to compile Kubernetes: {advice}")


def _link_flags() -> tuple[str, ...]:
    kubernetes, helm = module_version("k8s.io/kubernetes"), module_version("helm.sh/helm/v4")
    major, minor = kubernetes.removeprefix("v").split(".")[:2]
    values = {"helm.sh/helm/v4/internal/version.version": helm}
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        values |= {
            f"{package}.gitVersion": kubernetes,
            f"{package}.gitMajor": major,
            f"{package}.gitMinor": minor,
            f"{package}.gitTreeState": "archive",
        }
    return ("-s", "-w", *[f"-X={name}={value}" for name, value in values.items()])
