"""A running identity provider: alice and bob, login and consent pages, resource-bound JWT access tokens.

Users: ``alice`` / ``alice-pw`` (role admin), ``bob`` / ``bob-pw``. Scopes of a resource: weather:read, weather:write.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.identity.node_modules import lay_out
from tests.support.identity.programs import Program, accepts, free_port, running


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """What can be chosen about it."""

    resources: tuple[str, ...]
    """Resource indicators (RFC 8707) that tokens may be asked for."""
    issuer: str | None = None
    """None: the address it listens at."""
    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one."""
    certificate: Path | None = None
    """PEM chain; with it, https. None: plain http, which clients accept on loopback only."""
    key: Path | None = None
    access_token_seconds: int = 300


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """One that runs."""

    issuer: str
    host: str
    port: int
    program: Program

    def rotate_keys(self) -> None:
        """Signs with a new key from now on; the key before stays published until the next rotation."""
        done = self.program.written().count("signing with")
        self.program.process.send_signal(signal.SIGHUP)
        self.program.wait_until(lambda: self.program.written().count("signing with") > done)


@contextmanager
def running_provider(options: ProviderOptions) -> Iterator[IdentityProvider]:
    """The identity provider, ready, until the end of the block. ``ProgramFailed`` when it does not start."""
    port = free_port(options.host, options.port)
    scheme = "https" if options.certificate else "http"
    issuer = options.issuer or f"{scheme}://{options.host}:{port}"
    settings = {
        "PATH": os.environ["PATH"],
        "ISSUER": issuer,
        "LISTEN": f"{options.host}:{port}",
        "RESOURCES": " ".join(options.resources),
        "TTL": str(options.access_token_seconds),
    }
    if options.certificate and options.key:
        settings |= {"TLS_CERT": str(options.certificate), "TLS_KEY": str(options.key)}
    with TemporaryDirectory(prefix="postern-idp-") as folder:
        program_file = lay_out(Path(folder))
        log = Path(folder) / "log"
        with running("identity provider", ["node", program_file], log=log, environment=settings) as program:
            program.wait_until(lambda: accepts(options.host, port))
            yield IdentityProvider(issuer, options.host, port, program)
