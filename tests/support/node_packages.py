"""The npm packages of a Node.js program: installed once for each lock file, into the cache."""

from pathlib import Path

from tests.support.images.cache import cache_root, content_key, file_lock, scratch
from tests.support.images.processes import run
from tests.support.images.progress import Progress

LOCK_FILES = ("package.json", "package-lock.json")


def packages_of(project: Path, name: str, progress: Progress | None = None) -> Path:
    """The folder ``node_modules``, as the lock file in ``project`` says, or ``SetupError``: no npm, no network.

    ``name`` is the cache's folder for it, and how progress lines call it.
    """
    report = progress or Progress()
    folder = cache_root() / name / content_key([project / file for file in LOCK_FILES])
    if not folder.exists():
        with file_lock(f"{name}-{folder.name}", report):
            if not folder.exists():
                _install(project, folder, name, report)
    return folder / "node_modules"


def _install(project: Path, folder: Path, name: str, progress: Progress) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch() as work, progress.step(name, "installing its npm packages"):
        fresh = work / name
        fresh.mkdir()
        for file in LOCK_FILES:
            (fresh / file).write_bytes((project / file).read_bytes())
        run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            purpose=f"installing the npm packages of {name} (npm ci)",
            cwd=fresh,
        )
        fresh.rename(folder)


def lay_out_program(project: Path, folder: Path, packages: Path) -> None:
    """The program of ``project`` in ``folder``, beside a link to its packages."""
    for source in project.glob("*.mjs"):
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "package.json").write_bytes((project / "package.json").read_bytes())
    # Modules are looked up from where the program lies.
    (folder / "node_modules").symlink_to(packages)
