"""Keys, scratch folders and programs in the cache of built things."""

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.cluster.binaries import SOURCES, module_version, programs_folder
from tests.support.images.archives import archive_of, identity
from tests.support.images.cache import cache_root, content_key, file_lock, need_free_space, point, scratch
from tests.support.images.errors import SetupError
from tests.support.images.progress import Progress


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSTERN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_cache_can_be_moved(cache: Path) -> None:
    assert cache_root() == cache
    assert programs_folder().is_relative_to(cache)


def test_key_changes_with_content_name_and_order(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a").write_text("1")
    before = content_key([folder, "x", "y"])

    assert content_key([folder, "y", "x"]) != before
    (folder / "a").write_text("2")
    changed = content_key([folder, "x", "y"])
    (folder / "a").rename(folder / "b")
    assert len({before, changed, content_key([folder, "x", "y"])}) == 3


def test_key_ignores_what_tools_leave_behind(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "__pycache__").mkdir(parents=True)
    before = content_key([folder])

    (folder / "__pycache__" / "x.pyc").write_bytes(b"anything")
    assert content_key([folder]) == before


def test_key_does_not_run_texts_together() -> None:
    assert content_key(["ab", "c"]) != content_key(["a", "bc"])


def test_scratch_is_gone_after_an_error(cache: Path) -> None:
    def fail() -> None:
        with scratch() as folder:
            (folder / "half").write_text("made")
            raise SetupError("the build failed")

    with pytest.raises(SetupError):
        fail()
    assert [path.name for path in (cache / "scratch").iterdir()] == ["lock"]


def test_scratch_of_a_killed_process_goes_and_that_of_a_live_one_stays() -> None:
    with scratch() as live:
        dead = live.parent / "dead"
        dead.mkdir()
        with scratch():
            assert not dead.exists()
            assert live.exists()


def test_link_is_moved_to_its_new_target(tmp_path: Path) -> None:
    link = tmp_path / "links" / "current"
    point(link, tmp_path / "one")
    point(link, tmp_path / "two")

    assert link.readlink() == tmp_path / "two"


def test_second_process_waits_for_the_lock_and_says_so() -> None:
    said = io.StringIO()
    holder = "from tests.support.images.cache import file_lock; from tests.support.images.progress import Progress\n"
    holder += "import time\nwith file_lock('x', Progress()): print('held', flush=True); time.sleep(0.3)"
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, cwd=SOURCES.parents[3]) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        with file_lock("x", Progress(said)):
            pass

    assert "waiting for another process" in said.getvalue()


def test_full_disk_is_told_with_what_to_do() -> None:
    with pytest.raises(SetupError, match="set POSTERN_CACHE to a folder on a larger disk"):
        need_free_space(10**18, "compiling")


def test_missing_image_is_told_by_its_tag() -> None:
    with pytest.raises(SetupError, match="localhost/none:dev"):
        archive_of("localhost/none:dev")


def test_archive_says_its_tag_and_digest(tmp_path: Path) -> None:
    name = {"org.opencontainers.image.ref.name": "localhost/x:dev"}
    index = json.dumps({"manifests": [{"digest": "sha256:1", "annotations": name}]}).encode()
    entry = tarfile.TarInfo("index.json")
    entry.size = len(index)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(entry, io.BytesIO(index))

    assert identity(tmp_path / "x.tar") == ("localhost/x:dev", "sha256:1")


def test_kubernetes_modules_have_one_version() -> None:
    minor = module_version("k8s.io/kubernetes").removeprefix("v1.")
    replaced = re.findall(r"k8s\.io/\S+ => k8s\.io/\S+ v0\.(\S+)", (SOURCES / "go.mod").read_text())

    assert set(replaced) == {minor}


def test_progress_line_has_the_time_and_every_step_an_end() -> None:
    said = io.StringIO()
    with Progress(said).step("image x", "building"):
        pass

    assert re.fullmatch(
        r"\[ +0\.\d s\] image x: building \.\.\.\n\[ +0\.\d s\] image x: done in 0\.0 s\n", said.getvalue()
    )


def test_file_that_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("no archive")

    with pytest.raises(SetupError, match="no tagged oci-archive"):
        identity(tmp_path / "x.tar")


def test_missing_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no file or folder"):
        content_key([tmp_path / "none"])
