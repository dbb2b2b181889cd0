"""How the API server is reached: this module is where in-cluster and kubeconfig settings are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from postern_operator.errors import SettingsError

__all__ = ["Connection", "connection", "load_configuration"]

_POOL_SIZE = 24
"""Connections at most. More would mean more TLS handshakes at a burst, each dearer than the wait for a free one."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What another client needs to talk to the same API server with the same identity."""

    server: str
    ca_path: str | None
    insecure: bool
    scheme: str | None
    """Of the Authorization header, such as Bearer; None without a token."""
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


async def load_configuration(environment: Mapping[str, str]) -> Configuration:
    """Read how to reach the API server: KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises SettingsError when none of them can be used.
    """
    configuration = Configuration(
        connection_pool_maxsize=_POOL_SIZE,
        # The API server is reached directly; with trust_env each request would also read ~/.netrc.
        client_session_kwargs={"trust_env": False},
    )
    try:
        if "KUBECONFIG" not in environment and "KUBERNETES_SERVICE_HOST" in environment:
            load_incluster_config(client_configuration=configuration)
        else:
            path = environment.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
            await load_kube_config(config_file=path, client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise SettingsError(
            f"cannot tell how to reach the API server: {error}: run in a pod with a service account, or set KUBECONFIG"
        ) from error
    return configuration


async def connection(configuration: Configuration) -> Connection:
    """Give the present credentials; the token of a service account is read anew when it is older than a minute."""
    hook = configuration.refresh_api_key_hook
    if hook is not None:
        refreshed = hook(configuration)
        if refreshed is not None:
            await refreshed
    header: str = configuration.api_key.get("BearerToken", "")
    scheme, _, token = header.strip().partition(" ")
    return Connection(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme.capitalize() or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
