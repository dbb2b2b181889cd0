"""The folder of everything that is built once and kept: its place, its keys, its locks.

Nothing half made is ever seen under its final name: a build writes into ``scratch()`` and is renamed.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from tests.support.images.errors import SetupError
from tests.support.images.progress import Progress

CACHE_VARIABLE = "POSTERN_CACHE"
IGNORED = frozenset({".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules"})
"""Folder names that no image is built from, and that change without a reason to build again."""


def cache_root() -> Path:
    """The cache folder: ``$POSTERN_CACHE``, or ``~/.cache/postern``."""
    chosen = os.environ.get(CACHE_VARIABLE)
    root = Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "postern"
    return root.absolute()


def content_key(inputs: Iterable[Path | str]) -> str:
    """A 16 digit hash of ``inputs``: of a text itself, a file's bytes, or a folder's names and files."""
    digest = hashlib.sha256()
    for item in inputs:
        if isinstance(item, str):
            _add(digest, "text", item.encode())
        elif item.is_dir():
            for path in _files(item):
                _add(digest, path.relative_to(item).as_posix(), path.read_bytes())
        elif item.is_file():
            _add(digest, item.name, item.read_bytes())
        else:
            raise SetupError(f"there is no file or folder {item} to build from")
    return digest.hexdigest()[:16]


def _add(digest: "hashlib._Hash", name: str, content: bytes) -> None:
    digest.update(f"{name}\0{len(content)}\0".encode())
    digest.update(content)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in IGNORED:
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder on the cache's disk, so that renaming out of it is one step; gone at the end.

    What a killed process left there goes first: nobody holds its lock any more.
    """
    parent = cache_root() / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    with _lock_of(parent / "lock"):
        for left in [path for path in parent.iterdir() if path.is_dir() and not _is_held(path)]:
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(mkdtemp(dir=parent))
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextmanager
def _lock_of(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _is_held(folder: Path) -> bool:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def file_lock(name: str, progress: Progress) -> Iterator[None]:
    """Holds the lock ``name`` against other processes; the kernel frees it when its holder dies."""
    path = cache_root() / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(name, "waiting for another process that is at it"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def point(link: Path, target: Path) -> None:
    """Makes ``link`` a symbolic link to ``target``, in one step also where it was another before."""
    link.parent.mkdir(parents=True, exist_ok=True)
    with scratch() as work:
        fresh = work / "link"
        fresh.symlink_to(target)
        fresh.rename(link)


def need_free_space(bytes_needed: int, purpose: str) -> None:
    """Refuses with ``SetupError`` when the cache's disk has less than ``bytes_needed`` left."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < bytes_needed:
        raise SetupError(
            f"{purpose} needs {bytes_needed / 1e9:.0f} GB free in {root}, there are {free / 1e9:.1f} GB: "
            f"make room, or set {CACHE_VARIABLE} to a folder on a larger disk"
        )
