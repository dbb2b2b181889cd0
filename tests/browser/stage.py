"""Everything that a login in a browser meets: an identity provider, sidecars in mode Proxy, and what is before them."""

import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from postern_crds import key_ring
from postern_crds.sidecar_files import CLIENT_SECRET_FILE, KEYS_FILE
from postern_operator import local_files
from postern_operator.policy.render import render
from postern_sidecar.sealing import Seals
from tests.support.browsers.front import Front, running_front
from tests.support.ca import PrivateCA
from tests.support.identity.programs import Program, answers, free_port, running
from tests.support.identity.provider import IdentityProvider, KnownClient, ProviderOptions, running_provider
from tests.support.mcp.launch import McpServer, running_server

HOST = "mcp.test"
FOREIGN_HOSTS = ("evil.test", "other.mcp.test")
"""Another site, and another host of the same site: cookies with SameSite are sent from there."""
CLIENT = "postern"
SECRET = "secret: of Postern & alone"
AUDIENCE = "https://tools.test"
"""What the identity provider puts into tokens for its one client."""
READY_TIMEOUT_S = 60.0
SIDECAR = Path(sys.executable).with_name("postern-sidecar")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """One that runs, and what the tests know of it."""

    issuer: str
    """Ours: where the facade is."""
    resource: str
    port: int
    """Of this machine, behind whatever stands before it."""
    seals: Seals
    """What it seals with."""
    program: Program

    @property
    def authority(self) -> str:
        """What clients send as Host."""
        return urlsplit(self.issuer).netloc

    @property
    def prefix(self) -> str:
        """Its part of the host."""
        return urlsplit(self.issuer).path


@dataclass(frozen=True, slots=True)
class Stage:
    """All of it, running."""

    provider: IdentityProvider
    front: Front
    """Of the https servers."""
    plain: Front
    """Of the local one."""
    weather: Sidecar
    """https, asks always."""
    maps: Sidecar
    """https, on the same host, remembers consent."""
    local: Sidecar
    """http on loopback, for development."""


@contextmanager
def running_stage(folder: Path) -> Iterator[Stage]:
    """The stage until the end of the block; configurations and logs lie in ``folder``."""
    public, plain_port = free_port(), free_port()
    origin = f"https://{HOST}:{public}"
    resources = {
        "weather": (f"{origin}/weather/mcp", "/weather", "Always"),
        "maps": (f"{origin}/maps/mcp", "/maps", "Remember"),
        "local": (f"http://127.0.0.1:{plain_port}/mcp", "", "Always"),
    }
    callbacks = tuple(f"{_origin(url)}{prefix}/oauth/callback" for url, prefix, _ in resources.values())
    options = ProviderOptions(
        resources=(AUDIENCE,),
        default_resource=AUDIENCE,
        clients=(KnownClient(id=CLIENT, secret=SECRET, redirect_uris=callbacks),),
        registration=False,
    )
    with ExitStack() as stack:
        server = stack.enter_context(running_server(folder))
        provider = stack.enter_context(running_provider(options))
        sidecars = {
            name: stack.enter_context(
                running_sidecar(
                    folder / name,
                    policy(name, url, prefix=prefix, consent=consent, issuer=provider.issuer),
                    server,
                )
            )
            for name, (url, prefix, consent) in resources.items()
        }
        front = stack.enter_context(running_front(public, _tls(folder)))
        for name in ("weather", "maps"):
            front.route(HOST, f"/{name}", sidecars[name].port)
        plain = stack.enter_context(running_front(plain_port))
        plain.route("127.0.0.1", "", sidecars["local"].port)
        yield Stage(provider, front, plain, **sidecars)


def policy(name: str, url: str, *, prefix: str, consent: str, issuer: str) -> dict[str, Any]:
    """A policy as a user writes it."""
    return {
        "apiVersion": "postern.dev/v1alpha1",
        "kind": "McpAuthPolicy",
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {
            "mode": "Proxy",
            "resource": {"url": url, "prefix": prefix, "name": f"{name.capitalize()} tools"},
            "server": {"path": "/mcp"},
            "provider": {"custom": {"issuer": issuer}},
            "scopes": {"supported": ["weather:read", "weather:write"]},
            "verification": {"audiences": [AUDIENCE]},
            "proxy": {"client": {"id": CLIENT, "secretRef": {"name": "idp", "key": "secret"}}, "consent": consent},
        },
    }


@contextmanager
def running_sidecar(folder: Path, policy: dict[str, Any], server: McpServer) -> Iterator[Sidecar]:
    """The sidecar of a policy in front of a server, ready, until the end of the block."""
    config = render(policy)
    local_files.write(config, folder)
    (folder / CLIENT_SECRET_FILE).write_text(SECRET, encoding="utf-8")
    port, health = free_port(), free_port()
    addresses = {
        "--config": str(folder),
        "--listen": f"127.0.0.1:{port}",
        "--health": f"127.0.0.1:{health}",
        "--upstream": f"{server.host}:{server.port}",
    }
    command = [str(SIDECAR), *(word for option in addresses.items() for word in option)]
    if config.proxy is None:
        raise ValueError("the policy is not in mode Proxy")
    issuer = config.proxy.issuer
    with running(f"sidecar of {policy['metadata']['name']}", command, log=folder.with_suffix(".log")) as program:
        program.wait_until(lambda: answers(f"http://127.0.0.1:{health}/readyz"), timeout_s=READY_TIMEOUT_S)
        seals = Seals(key_ring.decode((folder / KEYS_FILE).read_bytes()), issuer)
        yield Sidecar(issuer, config.resource.url, port, seals, program)


def _origin(url: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def _tls(folder: Path) -> ssl.SSLContext:
    certificate, key = PrivateCA().leaf(HOST, *FOREIGN_HOSTS).write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
