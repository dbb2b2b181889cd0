"""Postern and an identity provider on the cluster, as every test of this tier finds them."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from examples.demo.images import build_images
from tests.support.ca import PrivateCA
from tests.support.cluster import load
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.network import Network
from tests.support.identity.tokens import obtain_token
from tests.support.kube import CommandFailed, Kube, wait_for

ROOT = Path(__file__).parents[2]
SYSTEM = "postern-system"
IDP_NAMESPACE = "postern-demo"
ISSUER_HOST = "idp.postern-demo.svc"
ISSUER = f"https://{ISSUER_HOST}:8443"
RESOURCE = "http://localhost:8080/mcp"
SCOPE = "weather:read"
MANIFESTS = ROOT / "examples/demo/manifests"


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity provider of the cluster, and a good token for RESOURCE."""

    ca: str
    """PEM of its private authority."""
    token: str

    def ca_config_map(self) -> dict[str, object]:
        """The object that a policy's caBundle names."""
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "idp-ca"}, "data": {"ca.crt": self.ca}}


def images_on_the_node(cluster: str | None) -> None:
    """Build what changed and load it; with CLUSTER=current the images are there already."""
    if cluster is not None:
        load(build_images(), cluster)


def install(kube: Kube) -> None:
    """Install the chart, or bring it up to date, and wait for both roles."""
    release = ("upgrade", "--install", "postern", str(ROOT / "charts/postern"))
    kube.helm(*release, "--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "180s")


def identity_provider(kube: Kube) -> Identity:
    """Deploy it with a certificate of a new private authority, and log in once."""
    if os.environ.get("CLUSTER") != "current":
        kube.run("delete", "namespace", IDP_NAMESPACE, "--ignore-not-found", "--wait=true")
    try:
        kube.run("create", "namespace", IDP_NAMESPACE)
    except CommandFailed as e:
        if "AlreadyExists" not in e.output:
            raise
    there = kube.within(IDP_NAMESPACE)
    authority = PrivateCA()
    leaf = authority.leaf(ISSUER_HOST)
    secret = {"tls.crt": leaf.certificate, "tls.key": leaf.key}
    there.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "idp-tls"},
            "type": "kubernetes.io/tls",
            "data": {name: base64.b64encode(value).decode() for name, value in secret.items()},
        },
        MANIFESTS / "idp.yaml",
    )
    there.rollout("deployment/idp")
    return Identity(authority.certificate.decode(), _token(there, authority.certificate))


def _token(kube: Kube, ca: bytes) -> str:
    with TemporaryDirectory() as folder, kube.port_forward("svc/idp", 8443) as address:
        file = Path(folder, "ca.crt")
        file.write_bytes(ca)
        host, port = address.split(":")
        network = Network({f"{ISSUER_HOST}:8443": (host, int(port))}, file)
        browser = ScriptedBrowser(network=network)

        async def log_in() -> str:
            return await obtain_token(ISSUER, RESOURCE, scope=SCOPE, browser=browser)

        return anyio.run(log_in)


def protected(kube: Kube, identity: Identity, *, name: str = "weather") -> None:
    """In this namespace: the unchanged weather server, its policy, the annotation; ready."""
    kube.apply(identity.ca_config_map(), MANIFESTS / "policy.yaml", MANIFESTS / "weather.yaml")
    kube.run("annotate", "deployment", name, "postern.dev/policy=weather", "--overwrite")
    kube.rollout(f"deployment/{name}")
    wait_for("all pods enforcing", lambda: kube.get("mcpauth", "weather")["status"].get("readyTargets") == "1/1")
