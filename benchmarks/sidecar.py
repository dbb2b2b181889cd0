"""What a sidecar costs: this module measures its start and its memory, ``python -m benchmarks.sidecar``."""

import argparse
import asyncio
import contextlib
import socket
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import Usage, usage
from benchmarks.production import Installation, install_sidecar
from benchmarks.report import figures, heading, spread, table
from postern_crds.sidecar_config import encode
from tests.support.ca import PrivateCA
from tests.support.fake_issuer import FakeIssuer
from tests.support.policies import RESOURCE_URL, make_config
from tests.support.tokens import SigningPair, claims_for, issue, make_pair

METHOD = """\
A new process each time, in an environment with the locked dependencies alone, compiled beforehand, as in the image.
The identity provider is an HTTPS server with a private authority (caBundle), the MCP server answers at once; both, and
the client, run in this process. First answer: from exec to the last byte of the first proxied 200, with a token whose
issuer and keys were never fetched before. Then 1,000 POSTs of 300 bytes on 8 connections with 100 tokens."""
REQUESTS = 1000
CONNECTIONS = 8
TOKENS = 100
PATIENCE_S = 20
_LEAVE = "import os; os._exit(0)"
"""Without taking the modules down again, which is no part of a start."""
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BODY = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}'.ljust(300)


@dataclass(frozen=True, slots=True)
class Run:
    """One process from its start to its end."""

    import_ms: float
    """exec to the end of the imports of a process that only imports the program, less one that imports nothing."""
    first_answer_ms: float
    started: Usage
    """At the first answer."""
    loaded: Usage
    """After the requests."""


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is around the process."""

    config: Path
    upstream: int
    """Port of the MCP server."""
    requests: list[bytes]
    """One for each token."""


class _Upstream(asyncio.Protocol):
    """Answers each read that ends a request; the requests here come in one piece or have a short tail."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head, found, body = self._pending.partition(b"\r\n\r\n")
        if found and (b"\r\ncontent-length:" not in head or len(body) >= len(BODY)):
            self._pending = b""
            if isinstance(self._transport, asyncio.Transport):
                self._transport.write(ANSWER)


@contextlib.contextmanager
def _upstream() -> Iterator[int]:
    """Serve in a thread; gives the port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(_Upstream, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        server.close()
        loop.close()


@contextlib.contextmanager
def _issuer(pair: SigningPair, folder: Path) -> Iterator[FakeIssuer]:
    """Serve an issuer over HTTPS and write the policy that trusts it."""
    authority = PrivateCA()
    certificate, key = authority.leaf("127.0.0.1").write(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    with FakeIssuer(tls=tls) as issuer:
        issuer.keys = [pair.jwk()]
        place = {"issuer": issuer.issuer, "metadata_urls": issuer.metadata_urls, "private_ca": True}
        config = folder / "config"
        config.mkdir()
        (config / "policy.json").write_text(encode(make_config(issuer=place)), encoding="utf-8")
        (config / "ca.crt").write_bytes(authority.certificate)
        yield issuer


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _request(token: str) -> bytes:
    head = f"POST /mcp HTTP/1.1\r\nhost: mcp.example.com\r\nauthorization: Bearer {token}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n".encode() + BODY


def _ask(connection: socket.socket, request: bytes) -> bool:
    """Send a request and take the whole answer; tell whether it was the server's."""
    connection.sendall(request)
    answer = b""
    while not answer.endswith(ANSWER[-6:]):
        data = connection.recv(65536)
        if not data:
            return False
        answer += data
    return answer.startswith(b"HTTP/1.1 200 ")


def _wait_for_answer(port: int, request: bytes) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(PATIENCE_S)
            if _ask(connection, request):
                return
        time.sleep(0.001)
    raise TimeoutError(f"no answer within {PATIENCE_S} s")


def _load(port: int, requests: list[bytes]) -> None:
    def drive(part: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(PATIENCE_S)
            for number in range(part, REQUESTS, CONNECTIONS):
                if not _ask(connection, requests[number % TOKENS]):
                    raise RuntimeError("a request of the load was not answered by the server")

    threads = [threading.Thread(target=drive, args=(part,)) for part in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    return time.perf_counter() - began


def _measure(installation: Installation, environment: dict[str, str], scene: _Scene) -> Run:
    python = str(installation.programs / "python3")
    nothing = _seconds([python, "-c", _LEAVE], environment)
    imports = _seconds([python, "-c", f"import postern_sidecar.__main__; {_LEAVE}"], environment) - nothing
    port = _free_port()
    options = ["--config", str(scene.config), "--listen", f"127.0.0.1:{port}", "--health", "127.0.0.1:0"]
    command = [str(installation.programs / "postern-sidecar"), *options, "--upstream", f"127.0.0.1:{scene.upstream}"]
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for_answer(port, scene.requests[0])
            first = time.perf_counter() - began
            started = usage(process.pid)
            _load(port, scene.requests)
            loaded = usage(process.pid)
        finally:
            process.terminate()
    return Run(1000 * imports, 1000 * first, started, loaded)


def _runs(count: int) -> list[Run]:
    installation = install_sidecar()
    pair = make_pair("key-1")
    with tempfile.TemporaryDirectory() as folder, _upstream() as upstream, _issuer(pair, Path(folder)) as issuer:
        claims = claims_for(issuer.issuer, RESOURCE_URL, time.time())
        requests = [_request(issue(pair, {**claims, "sub": f"user-{i}"})) for i in range(TOKENS)]
        scene = _Scene(Path(folder, "config"), upstream, requests)
        _measure(installation, installation.environment(compiling=True), scene)
        return [_measure(installation, installation.environment(), scene) for _ in range(count)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar", description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="processes to start (default 9)")
    count = parser.parse_args().runs
    heading("Sidecar: start and memory", METHOD)
    runs = _runs(count)
    series = {
        "import_ms": [run.import_ms for run in runs],
        "first_answer_ms": [run.first_answer_ms for run in runs],
        "start_cpu_ms": [run.started.cpu_ms for run in runs],
        "start_rss_mb": [run.started.rss_mb for run in runs],
        "loaded_rss_mb": [run.loaded.rss_mb for run in runs],
        "loaded_anonymous_mb": [run.loaded.anonymous_mb for run in runs],
        "request_cpu_ms": [(run.loaded.cpu_ms - run.started.cpu_ms) / REQUESTS for run in runs],
    }
    table(
        (f"{count} runs", "least", "median", "greatest"), [(name, *spread(values)) for name, values in series.items()]
    )
    figures(**{name: statistics.median(values) for name, values in series.items()})


if __name__ == "__main__":
    main()
