"""The second act: an identity provider that registers nobody, and a policy in mode Proxy that is its one client.

Steps as in ``story``: each gives back what it saw, and raises when it does not end as told.
"""

import json
import secrets
from typing import Any

import anyio

from examples.demo.endpoint import (
    KnownCall,
    Refusal,
    call_after_login,
    refused_without_token,
    served_with_token,
    token_for,
)
from examples.demo.narrator import expect
from examples.demo.stage import (
    FORECAST_ISSUER,
    FORECAST_URL,
    NAMESPACE,
    SSO_ISSUER,
    Stage,
    forecast_reachable,
)
from examples.demo.story import READY_SECONDS, only_guarded_pods, status_with
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.network import Exchange, Network
from tests.support.kube import Kube, Manifest, wait_for

CLIENT_ID = "forecast-proxy"
CALLBACK_URL = f"{FORECAST_ISSUER}/oauth/callback"
OWN_PAGES = ("/authorize", "/consent", "/oauth/callback")
"""What of the browser's way is Postern's."""


def set_the_scene(stage: Stage) -> None:
    """The identity provider with its one client, and a second MCP server with two replicas, both ready."""
    tell, kube = stage.narrator, stage.kube
    client_secret = secrets.token_urlsafe(24)
    kube.apply(_clients_at_provider(client_secret))
    for name in ("sso", "forecast"):
        tell.command(f"kubectl -n {NAMESPACE} apply -f examples/demo/manifests/{name}.yaml")
        kube.apply(stage.manifest(name))
    tell.command(f"kubectl -n {NAMESPACE} create secret generic forecast-client --from-literal=client-secret=…")
    kube.apply(_secret("forecast-client", {"client-secret": client_secret}))
    for name in ("sso", "forecast"):
        kube.rollout(f"deployment/{name}")
    tell.seen(f"its administrator registered one client, {CLIENT_ID}, with the redirect URI {CALLBACK_URL}")


def _clients_at_provider(client_secret: str) -> Manifest:
    client = {"client_id": CLIENT_ID, "client_secret": client_secret, "redirect_uris": [CALLBACK_URL]}
    return _secret("sso-clients", {"clients.json": json.dumps([client])})


def _secret(name: str, values: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def registration_refused(stage: Stage) -> int:
    """An MCP client cannot register at this identity provider. Gives back the status of the attempt."""
    with forecast_reachable(stage) as network:
        metadata, status = anyio.run(_register, network)
    stage.narrator.command(f"curl -i -X POST {SSO_ISSUER}/reg")
    stage.narrator.shows(f"HTTP/1.1 {status}")
    expect("registration_endpoint" not in metadata, "no registration endpoint", metadata)
    expect(status == 404, "a registration to be refused with 404", status)
    stage.narrator.seen("no MCP client can log in there by itself")
    return status


async def _register(network: Network) -> tuple[dict[str, Any], int]:
    async with network.client() as http:
        metadata = (await http.get(f"{SSO_ISSUER}/.well-known/openid-configuration")).raise_for_status().json()
        answer = await http.post(f"{SSO_ISSUER}/reg", json={"redirect_uris": ["http://127.0.0.1:3030/callback"]})
        return metadata, answer.status_code


def protect(stage: Stage) -> dict[str, Any]:
    """The policy in mode Proxy and the one annotation. Gives back the policy's status."""
    tell, kube = stage.narrator, stage.kube
    text = stage.manifest("forecast-policy")
    tell.shows(line for line in text.splitlines() if not line.startswith("#"))
    tell.command(f"kubectl -n {NAMESPACE} apply -f examples/demo/manifests/forecast-policy.yaml")
    kube.apply(text)
    command = ["annotate", "deployment", "forecast", "postern.dev/policy=forecast"]
    tell.command(f"kubectl -n {NAMESPACE} {' '.join(command)}")
    kube.run(*command)
    kube.rollout("deployment/forecast")
    wait_for("only pods with a sidecar", lambda: only_guarded_pods(kube, "forecast"), timeout_s=READY_SECONDS)
    status = wait_for("the policy is ready", lambda: status_with(kube, "Ready", "forecast"), timeout_s=READY_SECONDS)
    tell.command(f"kubectl -n {NAMESPACE} get mcpauth forecast -o jsonpath='{{.status.callbackURL}}'")
    tell.shows(str(status.get("callbackURL")))
    expect(status.get("callbackURL") == CALLBACK_URL, f"the callback URL {CALLBACK_URL}", status.get("callbackURL"))
    expect(status.get("readyTargets") == "2/2", "2/2 pods with the wanted configuration", status.get("readyTargets"))
    tell.seen("both replicas enforce it, and share one key ring")
    return status


def refused_outside(stage: Stage) -> Refusal:
    """Without a token: refused, and sent to Postern itself for the login."""
    stage.narrator.command(f"curl -i -X POST {FORECAST_URL}")
    with forecast_reachable(stage) as network:
        seen = refused_without_token(FORECAST_URL, issuer=FORECAST_ISSUER, network=network)
    stage.narrator.shows(seen.lines())
    stage.narrator.seen(
        f"refused; the metadata that it points to names {FORECAST_ISSUER}, which is Postern in the pods"
    )
    return seen


def served_after_login(stage: Stage, *, username: str = "alice") -> KnownCall:
    """The MCP client registers at Postern, the user approves it there and logs in at the identity provider."""
    tell = stage.narrator

    def watch(exchange: Exchange) -> None:
        if exchange.url.removeprefix(FORECAST_ISSUER) in OWN_PAGES or exchange.url.startswith(f"{SSO_ISSUER}/auth"):
            tell.shows(f"  browser: {exchange.line()}")

    with forecast_reachable(stage) as network:
        browser = ScriptedBrowser(network=network, username=username, password=f"{username}-pw", on_exchange=watch)
        seen = call_after_login(FORECAST_URL, browser, on_exchange=lambda exchange: tell.shows(exchange.line()))
    tell.does("The tool whoami tells what the server was told:")
    tell.shows(seen.told())
    tell.seen(f"{seen.weather} The client registered at Postern, which asked {username} and logged in for it")
    return seen


def served_after_restart(stage: Stage) -> int:
    """Every pod is replaced, and the token of before is still good. Gives back the status of the request with it."""
    tell, kube = stage.narrator, stage.kube
    with forecast_reachable(stage) as network:
        token = token_for(FORECAST_ISSUER, FORECAST_URL, ScriptedBrowser(network=network))
    before = _pods(kube)
    tell.command(f"kubectl -n {NAMESPACE} rollout restart deployment/forecast")
    kube.run("rollout", "restart", "deployment/forecast")
    kube.rollout("deployment/forecast")
    wait_for("the old pods are gone", lambda: not before & _pods(kube), timeout_s=READY_SECONDS)
    with forecast_reachable(stage) as network:
        status = served_with_token(FORECAST_URL, token, network=network)
    tell.seen("all pods are new, and the token of before is good: nothing of a login is kept in a pod")
    return status


def _pods(kube: Kube) -> set[str]:
    # Pods that are going away count: a port-forward to the Service may still choose one.
    return {pod["metadata"]["uid"] for pod in kube.get("pods", "-l", "app=forecast")["items"]}
