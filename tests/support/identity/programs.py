"""Programs that run beside a test: started, ready within a bound, ended by their own process id."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.05
SHOWN_LINES = 15


class ProgramFailed(Exception):
    """A program ended early or was not ready in time; the message shows the last of what it wrote."""


@dataclass(frozen=True, slots=True)
class Program:
    """One running program; ``log`` is the file that holds all it wrote."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def written(self) -> str:
        """All it wrote so far, both streams."""
        return self.log.read_text(errors="replace")

    def failure(self, what: str) -> ProgramFailed:
        """The error to raise when ``what`` happened to it."""
        last = "\n".join(f"  {line}" for line in self.written().splitlines()[-SHOWN_LINES:])
        return ProgramFailed(f"{self.name} {what}; the last it wrote ({self.log}):\n{last}")

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Returns as soon as ``is_ready``; ``ProgramFailed`` when it ended before, or when the time is over."""
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            status = self.process.poll()
            if status is not None:
                raise self.failure(f"ended with status {status}")
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {timeout_s:.0f} s")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that was not enough."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(
    name: str, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """The program, until the end of the block; ``environment`` is all that it gets, None: this process's own."""
    words = [str(word) for word in command]
    with log.open("wb") as output:
        try:
            # In a session of its own: Ctrl-C is for the story alone, which ends its programs in the right order.
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ProgramFailed(f"{name}: the program {words[0]} is missing: install it") from error
    program = Program(name, process, log)
    try:
        yield program
    finally:
        program.stop()


def free_port(host: str = "127.0.0.1", preferred: int = 0) -> int:
    """A TCP port that nobody listened on a moment ago: ``preferred`` if it is one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ProgramFailed(f"no free port at {host}")


def accepts(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def answers(url: str) -> bool:
    """Whether a plain GET of ``url`` gives a status below 400."""
    # The address is on this machine: a proxy of the environment has no business there.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=1):
            return True
    except (URLError, OSError):
        return False
