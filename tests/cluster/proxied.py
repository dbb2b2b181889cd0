"""A server in mode Proxy with two replicas, its identity provider, and the way to both through their Services."""

import base64
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2

from examples.demo.stage import FORECAST_ISSUER, FORECAST_PORT, FORECAST_URL, SSO_PORT, Stage
from tests.support.ca import PrivateCA
from tests.support.identity.network import Listener, Network
from tests.support.kube import Kube, wait_for

__all__ = [
    "CALLBACK_URL",
    "CLIENT_ID",
    "NAMESPACE",
    "SSO_ISSUER",
    "Forecast",
    "change_at_provider",
    "forecast_behind_postern",
]

NAMESPACE = "t-proxy"
SSO_NAME = f"sso.{NAMESPACE}.svc"
SSO_ISSUER = f"https://{SSO_NAME}:{SSO_PORT}"
CLIENT_ID = "forecast-proxy"
CALLBACK_URL = f"{FORECAST_ISSUER}/oauth/callback"
CLIENT_SECRET = "forecast-client"
"""The user's Secret, as the policy names it."""
RELAY_PORT = 9000
IMAGE = "localhost/postern-demo-weather:0.1.0"

_RELAY = """
import asyncio, sys
async def copy(reader, writer):
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()
async def serve(reader, writer):
    there, here = await asyncio.open_connection(sys.argv[1], 80)
    await asyncio.gather(copy(reader, here), copy(there, writer), return_exceptions=True)
async def main():
    await (await asyncio.start_server(serve, "", int(sys.argv[2]))).serve_forever()
asyncio.run(main())
"""
Manifest = dict[str, Any]


class OneRequestEach(Network):
    """Every request goes over a connection of its own, so that a Service may give it to any replica."""

    def client(
        self,
        *,
        auth: httpx2.Auth | None = None,
        headers: Mapping[str, str] | None = None,
        on_exchange: Listener | None = None,
    ) -> httpx2.AsyncClient:
        """As in Network."""
        return super().client(auth=auth, headers={**(headers or {}), "Connection": "close"}, on_exchange=on_exchange)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The protected server and what is around it."""

    kube: Kube
    network: Network
    first_pods: tuple[Manifest, ...]

    def fingerprint(self) -> list[tuple[str, list[int]]]:
        """Give uid and restart counts of each pod: what must not change."""
        return [_fingerprint(pod) for pod in self.kube.pods("app=forecast")]

    def is_untouched(self) -> bool:
        """Tell whether the same containers run as in the beginning."""
        return self.fingerprint() == [_fingerprint(pod) for pod in self.first_pods]

    def status(self) -> Manifest:
        """Give the policy's status."""
        status: Manifest = self.kube.get("mcpauth", "forecast").get("status", {})
        return status

    def condition(self, kind: str) -> Manifest:
        """Give one condition of the policy."""
        return next((c for c in self.status().get("conditions", []) if c["type"] == kind), {})

    def put_secret(self, value: str) -> None:
        """Write the client's secret where the policy says."""
        self.kube.apply(secret(CLIENT_SECRET, {"client-secret": value}))

    def ring(self) -> list[str]:
        """Give the names of the master keys whose keys are in this policy's ring."""
        ring = json.loads(_decoded(self.kube.get("secret", "postern-forecast-keys"))["keys.json"])
        return sorted({str(key["kid"]).partition("-")[0] for key in ring["keys"]})

    def issued(self) -> dict[str, int]:
        """Give the number of requests to the facade that each replica answered."""
        counts = {}
        for pod in self.kube.pods("app=forecast"):
            name = pod["metadata"]["name"]
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:19872/proxy/metrics"
            found = re.findall(
                r"^postern_facade_requests_total\{.*\} (\S+)$", self.kube.run("get", "--raw", path), re.MULTILINE
            )
            counts[name] = int(sum(map(float, found)))
        return counts

    def authorize(self) -> tuple[int, str]:
        """A new client sends its user to log in: give status and text of the page."""
        return anyio.run(self._authorize)

    async def _authorize(self) -> tuple[int, str]:
        redirect_uri = "http://127.0.0.1:3033/callback"
        async with self.network.client() as http:
            answer = await http.post(f"{FORECAST_ISSUER}/register", json={"redirect_uris": [redirect_uri]})
            query = {
                "client_id": answer.raise_for_status().json()["client_id"],
                "redirect_uri": redirect_uri,
                "response_type": "code",
                "code_challenge": "A" * 43,
                "code_challenge_method": "S256",
            }
            page = await http.get(f"{FORECAST_ISSUER}/authorize", params=query)
        return page.status_code, page.text

    def calls(self, token: str, times: int = 8) -> set[int]:
        """Give the statuses of some requests with this token; each may meet another replica."""
        return anyio.run(self._calls, token, times)

    async def _calls(self, token: str, times: int) -> set[int]:
        client_info = {"name": "probe", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client_info}
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        async with self.network.client(headers=headers) as http:
            return {(await http.post(FORECAST_URL, json=body)).status_code for _ in range(times)}


def _fingerprint(pod: Manifest) -> tuple[str, list[int]]:
    parts = ("initContainerStatuses", "containerStatuses")
    return pod["metadata"]["uid"], [c["restartCount"] for part in parts for c in pod["status"][part]]


def secret(name: str, values: Mapping[str, str]) -> Manifest:
    """Give a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": dict(values)}


def _decoded(found: Manifest) -> dict[str, str]:
    return {name: base64.b64decode(value).decode("latin-1") for name, value in found.get("data", {}).items()}


@contextmanager
def forecast_behind_postern(stage: Stage, folder: Path, client_secret: str) -> Iterator[Forecast]:
    """Everything in force but the client's secret, which is still missing, during the block."""
    stage.kube.run("create", "namespace", NAMESPACE)
    kube = stage.kube.within(NAMESPACE)
    try:
        _build(stage, kube, folder, client_secret)
        pods = tuple(kube.pods("app=forecast"))
        with (
            kube.port_forward("pod/relay", RELAY_PORT) as forecast,
            kube.port_forward("svc/sso", SSO_PORT) as sso,
        ):
            addresses = {f"localhost:{FORECAST_PORT}": _split(forecast), f"{SSO_NAME}:{SSO_PORT}": _split(sso)}
            yield Forecast(kube, OneRequestEach(addresses, folder / "ca.crt"), pods)
    finally:
        stage.kube.run("delete", "namespace", NAMESPACE, "--wait=false")


def _build(stage: Stage, kube: Kube, folder: Path, client_secret: str) -> None:
    authority = PrivateCA()
    (folder / "ca.crt").write_bytes(authority.certificate)
    leaf = authority.leaf(SSO_NAME)
    trusted = {"ca.crt": authority.certificate.decode()}
    kube.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "idp-ca"}, "data": trusted},
        secret("sso-tls", {"tls.crt": leaf.certificate.decode(), "tls.key": leaf.key.decode()}),
        known_client(client_secret),
        _relay(stage),
        *(stage.manifest(name).replace("postern-demo.svc", f"{NAMESPACE}.svc") for name in ("sso", "forecast")),
    )
    kube.rollout("deployment/sso")
    kube.apply(stage.manifest("forecast-policy").replace("postern-demo.svc", f"{NAMESPACE}.svc"))
    kube.run("annotate", "deployment", "forecast", "postern.dev/policy=forecast")
    kube.rollout("deployment/forecast")
    kube.run("wait", "--for=condition=Ready", "pod/relay", "--timeout=60s")
    wait_for("the old pods gone", lambda: len(kube.get("pods", "-l", "app=forecast")["items"]) == 2)


def known_client(client_secret: str) -> Manifest:
    """Give the Secret from which the identity provider knows its one client."""
    client = {"client_id": CLIENT_ID, "client_secret": client_secret, "redirect_uris": [CALLBACK_URL]}
    return secret("sso-clients", {"clients.json": json.dumps([client])})


def change_at_provider(kube: Kube, client_secret: str) -> None:
    """Give the client another secret at the identity provider, whose process goes on."""
    kube.apply(known_client(client_secret))
    # A changed pod is synced at once, and with it its volumes.
    kube.run("annotate", "pod", "-l", "app=sso", f"nudge={secrets.token_hex(4)}", "--overwrite")
    read = "process.stdout.write(require('fs').readFileSync('/clients/clients.json'))"
    wait_for("the file", lambda: client_secret in _at_provider(kube, read), timeout_s=150, every_s=1)
    _at_provider(kube, "process.kill(1, 'SIGHUP')")


def _at_provider(kube: Kube, program: str) -> str:
    return kube.run("exec", "deploy/sso", "--", "node", "-e", program)


def _relay(stage: Stage) -> Manifest:
    """Give a pod that takes connections to the Service, which chooses a replica for each: port-forward chooses one."""
    container = {
        "name": "relay",
        "image": IMAGE.replace("localhost", stage.registry, 1),
        "command": ["python3", "-c", _RELAY, "forecast", str(RELAY_PORT)],
        "readinessProbe": {"tcpSocket": {"port": RELAY_PORT}, "periodSeconds": 1},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "relay"}, "spec": spec}


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)
