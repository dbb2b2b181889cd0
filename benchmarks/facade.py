"""What mode Proxy costs: this module measures its endpoints and its tokens, ``python -m benchmarks.facade``."""

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from benchmarks.production import Installation, install_sidecar
from benchmarks.report import figures, heading, table
from benchmarks.wire import Running, ok_answer, request, running, served
from postern_crds import key_ring
from postern_crds.key_ring import KeyRing, RingKey
from postern_crds.sidecar_config import EndpointsConfig, SidecarConfig, encode
from postern_sidecar.facade.artefacts import Code, fingerprint, seal_as
from postern_sidecar.sealing import Seals, upstream_name
from tests.support.fake_issuer import FakeIssuer
from tests.support.policies import PROXY, RESOURCE_URL, make_config, make_proxy_config
from tests.support.tokens import SigningPair, claims_for, issue, make_pair

METHOD = """\
One process each for mode Proxy and mode Direct, in an environment with the locked dependencies alone, as in the image.
The identity provider is a stand-in on loopback that answers each exchange with the same real, signed tokens; each is
verified anew. The codes are sealed here, as the callback would; PKCE, ID token and access token are checked as always.
Requests come on 8 connections. Per second of CPU: what one core does when it does nothing else."""
REGISTRATIONS = 2000
EXCHANGES = 2000
CACHED = 10_000
TOKENS = 100
NONCE = "n" * 22
VERIFIER = "v" * 64
CHALLENGE = "w1TpKUdYE9hUAcNSeeSRFioHDxfUxuHho_JHAfZ_vDM"
REDIRECT_URIS = ("http://127.0.0.1:33418/callback", "https://client.example.com/oauth/callback")
CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}'.ljust(300)


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests of one kind."""

    wall: float
    """Per second."""
    cpu: float
    """Per second of the sidecar's CPU time."""


@dataclass(frozen=True, slots=True)
class Run:
    """One of everything."""

    registrations: Rate
    exchanges: Rate
    sealed: Rate
    signed: Rate
    lengths: dict[str, int]
    """Characters of each artefact."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is around the sidecars."""

    installation: Installation
    issuer: FakeIssuer
    pair: SigningPair
    token_port: int
    """Of the stand-in's token endpoint."""
    server_port: int
    folder: Path

    def config(self, *, proxy: bool) -> SidecarConfig:
        """The policy of a mode."""
        endpoints = EndpointsConfig(None, f"http://127.0.0.1:{self.token_port}/token", None, None, None)
        place = {"issuer": self.issuer.issuer, "metadata_urls": self.issuer.metadata_urls, "endpoints": endpoints}
        log, verification = {"audit": False}, {"supported_scopes": ("mcp:read",)}
        if proxy:
            return make_proxy_config(PROXY, issuer=place, log=log, verification=verification)
        return make_config(issuer=place, log=log, verification=verification)

    @contextlib.contextmanager
    def sidecar(self, config: SidecarConfig, ring: KeyRing | None = None) -> Iterator[Running]:
        """Run one until it is ready."""
        files = {"policy.json": encode(config), "client-secret": "secret"}
        if ring is not None:
            files["keys.json"] = key_ring.encode(ring)
        folder = self.folder / config.mode
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        with running(self.installation, folder, self.server_port) as sidecar:
            yield sidecar


def _measure(sidecar: Running, requests: Sequence[bytes], status: int) -> tuple[Rate, list[bytes]]:
    """Send all of them; gives the bodies of the answers in their order."""
    cpu, began = sidecar.cpu_s(), time.perf_counter()
    bodies = sidecar.send(requests, status)
    wall_s, cpu_s = time.perf_counter() - began, sidecar.cpu_s() - cpu
    return Rate(len(requests) / wall_s, len(requests) / cpu_s), bodies


def _registration() -> bytes:
    metadata = {
        "client_name": "Example client",
        "redirect_uris": REDIRECT_URIS,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }
    return request("/register", json.dumps(metadata).encode(), content_type="application/json")


def _code(seals: Seals, client_id: str, number: int) -> str:
    content = Code(
        upstream_code=f"{number:064d}",
        verifier=VERIFIER,
        nonce=NONCE,
        client=fingerprint(client_id),
        redirect_uri=REDIRECT_URIS[0],
        challenge=CHALLENGE,
        scopes=("mcp:read",),
        resource=RESOURCE_URL,
        expires_at=int(time.time()) + 600,
    )
    return seal_as(seals, content, time.time())


def _exchange(client_id: str, code: str) -> bytes:
    form = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": REDIRECT_URIS[0],
        "resource": RESOURCE_URL,
    }
    return request("/token", urlencode(form).encode(), content_type="application/x-www-form-urlencoded")


def _calls(tokens: Sequence[str]) -> list[bytes]:
    made = [request("/mcp", CALL, content_type="application/json", authorization=f"Bearer {token}") for token in tokens]
    return [made[number % len(made)] for number in range(CACHED)]


def _measure_cached(sidecar: Running, tokens: Sequence[str]) -> Rate:
    calls = _calls(tokens)
    # Each token once, so that all of them are verified and remembered.
    sidecar.send(calls[: len(tokens)], 200)
    return _measure(sidecar, calls, 200)[0]


def _run(scene: Scene) -> Run:
    ring = KeyRing((RingKey("ring-1", key_ring.encode_secret(b"k" * 32), 0),))
    config = scene.config(proxy=True)
    seals = Seals(ring, PROXY.issuer, upstream_name(config, PROXY))
    with scene.sidecar(config, ring) as sidecar:
        registrations, bodies = _measure(sidecar, [_registration()] * REGISTRATIONS, 201)
        client_id = str(msgspec.json.decode(bodies[0])["client_id"])
        codes = [_code(seals, client_id, number) for number in range(EXCHANGES)]
        exchanges, bodies = _measure(sidecar, [_exchange(client_id, code) for code in codes], 200)
        documents = [msgspec.json.decode(body) for body in bodies]
        sealed_tokens = [str(document["access_token"]) for document in documents[:TOKENS]]
        sealed = _measure_cached(sidecar, sealed_tokens)
    now = time.time()
    claims = claims_for(scene.issuer.issuer, RESOURCE_URL, now)
    signed_tokens = [issue(scene.pair, {**claims, "sub": f"user-{number}"}) for number in range(TOKENS)]
    with scene.sidecar(scene.config(proxy=False)) as sidecar:
        signed = _measure_cached(sidecar, signed_tokens)
    lengths = {
        "client_id": len(client_id),
        "code": len(codes[0]),
        "access_token": len(sealed_tokens[0]),
        "refresh_token": len(documents[0]["refresh_token"]),
    }
    return Run(registrations, exchanges, sealed, signed, lengths)


def _token_answer(issuer: FakeIssuer, pair: SigningPair) -> bytes:
    now = time.time()
    about = {"name": "Alice Example", "email": "alice@example.com", "sub": "00u1abcd2EFGHijkl3m4"}
    signed = claims_for(issuer.issuer, RESOURCE_URL, now, exp=int(now) + 3600, **about)
    identity = {**signed, "aud": PROXY.upstream.client_id, "nonce": NONCE}
    document = {
        "access_token": issue(pair, signed),
        "id_token": issue(pair, identity, typ="JWT"),
        "refresh_token": "r" * 64,
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "openid mcp:read",
    }
    return ok_answer(json.dumps(document).encode())


def _runs(count: int) -> list[Run]:
    installation, pair = install_sidecar(), make_pair("key-1")
    with tempfile.TemporaryDirectory() as folder, FakeIssuer() as issuer:
        issuer.keys = [pair.jwk()]
        with served(_token_answer(issuer, pair)) as token_port, served(ok_answer(b"{}")) as server_port:
            scene = Scene(installation, issuer, pair, token_port, server_port, Path(folder))
            return [_run(scene) for _ in range(count)]


def _row(name: str, rates: Sequence[Rate]) -> tuple[str, str, str, str]:
    wall = statistics.median(rate.wall for rate in rates)
    cpu = statistics.median(rate.cpu for rate in rates)
    return name, f"{wall:.0f}", f"{cpu:.0f}", f"{1e6 / cpu:.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.facade", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of everything (default 3); medians are printed")
    count = parser.parse_args().runs
    heading("Mode Proxy: endpoints and tokens", METHOD)
    runs = _runs(count)
    rows = {
        "registrations": [run.registrations for run in runs],
        "token exchanges": [run.exchanges for run in runs],
        "requests, sealed token in cache": [run.sealed for run in runs],
        "requests, JWT in cache (mode Direct)": [run.signed for run in runs],
    }
    table((f"{count} runs", "per second", "per second of CPU", "µs of CPU each"), [_row(*row) for row in rows.items()])
    table(("artefact", "characters"), [(name, str(length)) for name, length in runs[-1].lengths.items()])
    medians = {name.partition(",")[0]: statistics.median(rate.cpu for rate in rates) for name, rates in rows.items()}
    figures(
        registrations_per_cpu_s=medians["registrations"],
        exchanges_per_cpu_s=medians["token exchanges"],
        sealed_us=1e6 / statistics.median(run.sealed.cpu for run in runs),
        signed_us=1e6 / statistics.median(run.signed.cpu for run in runs),
        **{f"{name}_chars": float(length) for name, length in runs[-1].lengths.items()},
    )


if __name__ == "__main__":
    main()
