"""An https server for client documents that can misbehave, and a resolver that leads to it under any name."""

import json
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from postern_sidecar.facade.document_fetch import DocumentFetcher
from postern_sidecar.facade.public_addresses import Address
from tests.support.ca import PrivateCA

__all__ = ["HOST", "URL", "Answer", "DocumentHost"]

HOST = "app.example.com"
URL = f"https://{HOST}/oauth/client.json"
Answer = tuple[int, dict[str, str], bytes]


def document(url: str = URL, **members: Any) -> dict[str, Any]:
    """A good document; members are added, or replace those of their names."""
    good = {"client_id": url, "client_name": "App", "redirect_uris": ["https://app.example.com/cb"]}
    return {**good, **members}


class DocumentHost(AbstractContextManager["DocumentHost"]):
    """A context manager; everything may be changed while it runs."""

    def __init__(self, folder: Path, *names: str) -> None:
        """Its certificate is for the names; without any, for HOST."""
        self.authority = PrivateCA()
        self.answer: Callable[[str], Answer] = lambda _path: good(document())
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request, in order."""
        self.released = Event()
        """Ends what hangs; set at the end in any case."""
        self.drips = False
        """A byte now and then, never the last one."""
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*self.authority.leaf(*(names or (HOST,))).write(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        # The handshake belongs into the thread of its connection.
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address: Address = ("127.0.0.1", self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops answering."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def trust(self) -> ssl.SSLContext:
        """What trusts this host's authority alone."""
        return ssl.create_default_context(cadata=self.authority.certificate.decode())

    def fetcher(self, *addresses: Address, total_s: float = 3.0) -> DocumentFetcher:
        """A fetcher that every name leads to the addresses, without any to this host; 127.0.0.1 counts as public."""

        async def resolve(_host: str) -> list[Address]:
            return list(addresses) or [self.address]

        return DocumentFetcher(
            resolve=resolve, is_public=lambda address: address == "127.0.0.1", trust=self.trust, total_s=total_s
        )

    def count(self) -> int:
        """How many requests there were."""
        return len(self.requests)


def good(document: object, **headers: str) -> Answer:
    """Status 200 with a document."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return 200, {"content-type": "application/json", **named}, json.dumps(document).encode()


def _handler(host: DocumentHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ssl.SSLError):
                # The reader went away, as it should from a name it does not trust or an answer that is too much.
                self.close_connection = True

        def do_GET(self) -> None:
            host.requests.append(
                (self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
            )
            status, headers, body = host.answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + (100 if host.drips else 0)))
            self.end_headers()
            while host.drips and not host.released.wait(0.02):
                self.wfile.write(b" ")
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Says nothing: tests read requests instead."""

    return Handler
