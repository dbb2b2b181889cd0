"""A running identity provider: alice and bob, login and consent pages, resource-bound JWT access tokens.

Users: ``alice`` / ``alice-pw`` (role admin), ``bob`` / ``bob-pw``. Scopes of a resource: weather:read, weather:write.
"""

import json
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
class KnownClient:
    """A confidential client that the provider knows without a registration."""

    id: str
    secret: str
    redirect_uris: tuple[str, ...]
    auth_method: str = "client_secret_basic"

    def metadata(self) -> dict[str, object]:
        """It as a registration request (RFC 7591) would name it."""
        return {
            "client_id": self.id,
            "client_secret": self.secret,
            "redirect_uris": self.redirect_uris,
            "token_endpoint_auth_method": self.auth_method,
        }


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
    clients: tuple[KnownClient, ...] = ()
    registration: bool = True
    """Whether clients may register themselves."""
    default_resource: str | None = None
    """What tokens are for when the client names no resource. None: for none, and opaque."""
    opaque: bool = False
    """Whether access tokens are opaque, for introspection; else they are JWTs, which cannot be introspected."""
    rotation: bool = True
    """Whether a refresh token is good for one use; its second use ends the login."""


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

    def revoke_logins(self) -> None:
        """Ends all logins of all clients, as an administrator would; browsers stay logged in."""
        done = self.program.written().count("revoked")
        self.program.process.send_signal(signal.SIGUSR2)
        self.program.wait_until(lambda: self.program.written().count("revoked") > done)


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
        "CLIENTS": json.dumps([client.metadata() for client in options.clients]),
        "REGISTRATION": "on" if options.registration else "off",
        "DEFAULT_RESOURCE": options.default_resource or "",
        "TOKENS": "opaque" if options.opaque else "jwt",
        "ROTATION": "on" if options.rotation else "off",
    }
    if options.certificate and options.key:
        settings |= {"TLS_CERT": str(options.certificate), "TLS_KEY": str(options.key)}
    with TemporaryDirectory(prefix="postern-idp-") as folder:
        program_file = lay_out(Path(folder))
        log = Path(folder) / "log"
        with running("identity provider", ["node", program_file], log=log, environment=settings) as program:
            program.wait_until(lambda: accepts(options.host, port))
            yield IdentityProvider(issuer, options.host, port, program)
