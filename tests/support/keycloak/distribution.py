"""Keycloak's distribution from Maven Central, with its one-time build: made once for each version, into the cache."""

from pathlib import Path
from zipfile import ZipFile

from tests.support.images.cache import cache_root, file_lock, need_free_space, scratch
from tests.support.images.debian import install_missing
from tests.support.images.processes import run
from tests.support.images.progress import Progress

VERSION = "26.7.3"
ARTEFACT = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
GET = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get"
BUILD_OPTIONS = ("--db=dev-mem", "--cache=local", "--health-enabled=false")
"""In memory, one node. They become part of the build."""
PACKAGES = {"java": "openjdk-17-jre-headless", "mvn": "maven"}


def distribution(progress: Progress | None = None) -> Path:
    """The folder of a Keycloak that starts without a build step, or ``SetupError``."""
    report = progress or Progress()
    folder = cache_root() / "keycloak" / VERSION
    if not folder.exists():
        with file_lock(f"keycloak-{VERSION}", report):
            if not folder.exists():
                _make(folder, report)
    install_missing({"java": PACKAGES["java"]}, report)
    return folder


def _make(folder: Path, progress: Progress) -> None:
    need_free_space(1_500_000_000, "Keycloak")
    install_missing(PACKAGES, progress)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch() as work:
        with progress.step("Keycloak", f"downloading version {VERSION}"):
            archive = _download(work / "repository")
        with progress.step("Keycloak", "building it"):
            with ZipFile(archive) as opened:
                opened.extractall(work)
            fresh = work / f"keycloak-{VERSION}"
            launcher = fresh / "bin" / "kc.sh"
            launcher.chmod(0o755)
            run([launcher, "build", *BUILD_OPTIONS], purpose="building Keycloak (kc.sh build)")
        fresh.rename(folder)


def _download(repository: Path) -> Path:
    run(
        ["mvn", "-q", "-B", GET, f"-Dartifact={ARTEFACT}", "-Dtransitive=false", f"-Dmaven.repo.local={repository}"],
        purpose="downloading Keycloak (mvn dependency:get)",
    )
    return next(repository.glob(f"org/keycloak/keycloak-quarkus-dist/{VERSION}/*.zip"))
