"""Postern and an identity provider on the cluster, as every test of this tier finds them."""

from dataclasses import dataclass

from examples.demo.endpoint import token_for
from examples.demo.stage import IDP_NAME, ISSUER, MANIFESTS, OPERATOR_NAMESPACE, URL, Stage, reachable
from tests.support.identity.browser import ScriptedBrowser
from tests.support.kube import Kube

__all__ = ["IDP_NAME", "ISSUER", "MANIFESTS", "OPERATOR_NAMESPACE", "URL", "Identity", "log_in", "protect"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity provider of the cluster, and a good token for URL."""

    ca: str
    """PEM of its private authority."""
    token: str

    def ca_config_map(self) -> dict[str, object]:
        """The object that a policy's caBundle names."""
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "idp-ca"}, "data": {"ca.crt": self.ca}}


def log_in(stage: Stage) -> Identity:
    """Alice logs in once, at the identity provider that the stage has."""
    with reachable(stage) as network:
        token = token_for(ISSUER, URL, ScriptedBrowser(network=network))
    return Identity(stage.ca_file.read_text(encoding="utf-8"), token)


def protect(kube: Kube, identity: Identity) -> None:
    """In this namespace: the unchanged weather server, its policy, the annotation; in force."""
    kube.apply(identity.ca_config_map(), MANIFESTS / "policy.yaml", MANIFESTS / "weather.yaml")
    kube.run("annotate", "deployment", "weather", "postern.dev/policy=weather", "--overwrite")
    kube.rollout("deployment/weather")
    kube.run("wait", "--for=condition=Ready", "mcpauth/weather", "--timeout=90s")
