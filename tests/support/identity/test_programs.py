import sys
from pathlib import Path

import pytest

from tests.support.identity.programs import ProgramFailed, accepts, free_port, running

HOLDS_ITS_PORT = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept()"


def test_program_is_ready_inside_the_block_and_gone_after_it(tmp_path: Path) -> None:
    port = free_port()

    with running("holder", [sys.executable, "-c", HOLDS_ITS_PORT, str(port)], log=tmp_path / "log") as program:
        program.wait_until(lambda: accepts("127.0.0.1", port))

    assert program.process.returncode is not None
    assert not accepts("127.0.0.1", port)


def test_program_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no configuration')"]

    with running("broken", command, log=tmp_path / "log") as program, pytest.raises(ProgramFailed) as failure:
        program.wait_until(lambda: False)

    assert "broken ended with status 1" in str(failure.value)
    assert "no configuration" in str(failure.value)


def test_program_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", HOLDS_ITS_PORT, str(port)]

    with running("idle", command, log=tmp_path / "log") as program, pytest.raises(ProgramFailed, match="not ready"):
        program.wait_until(lambda: False, timeout_s=0.1)


def test_missing_program_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(ProgramFailed, match="the program no-such-program is missing"),
        running("absent", ["no-such-program"], log=tmp_path / "log"),
    ):
        pass


def test_preferred_port_is_taken_when_free_and_left_when_not(tmp_path: Path) -> None:
    port = free_port()
    assert free_port(preferred=port) == port

    with running("holder", [sys.executable, "-c", HOLDS_ITS_PORT, str(port)], log=tmp_path / "log") as program:
        program.wait_until(lambda: free_port(preferred=port) != port)
