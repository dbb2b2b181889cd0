"""The operator's settings: environment variables, read once at start, all written by the chart."""

from collections.abc import Mapping
from dataclasses import dataclass

from postern_operator.errors import SettingsError

__all__ = ["Settings", "from_environment"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What both roles know of their installation."""

    sidecar_image: str
    """POSTERN_SIDECAR_IMAGE: image of the sidecar and of the redirect's init container. Part of the pod's shape."""
    sidecar_pull_policy: str = "IfNotPresent"
    """POSTERN_SIDECAR_PULL_POLICY: Always, IfNotPresent or Never."""
    namespace: str = "postern-system"
    """POSTERN_NAMESPACE: where the operator runs; its certificates live there."""
    service: str = "postern-webhook"
    """POSTERN_WEBHOOK_SERVICE: Service of the webhook role; the certificate's host name."""
    webhook_configuration: str = "postern"
    """POSTERN_WEBHOOK_CONFIGURATION: MutatingWebhookConfiguration that gets the CA bundle."""
    certificate_secret: str = "postern-webhook-certificate"  # noqa: S105 - a name, not a secret
    """POSTERN_CERTIFICATE_SECRET: Secret with ca.crt, ca.key, tls.crt, tls.key."""
    certificate_directory: str = "/certificates"
    """POSTERN_CERTIFICATE_DIRECTORY: where the webhook role sees tls.crt and tls.key (mounted Secret)."""
    self_managed_certificates: bool = True
    """POSTERN_SELF_MANAGED_CERTIFICATES: false when cert-manager or the user provides them."""
    service_account: str = "system:serviceaccount:postern-system:postern-controller"
    """POSTERN_CONTROLLER_ACCOUNT: user name of the controller; only its writes may change a stamped shape."""
    webhook_port: int = 9443
    """POSTERN_WEBHOOK_PORT: HTTPS port of the webhook role."""
    health_port: int = 8080
    """POSTERN_HEALTH_PORT: plain HTTP port for /livez, /readyz and /metrics."""
    resync_seconds: int = 300
    """POSTERN_RESYNC_SECONDS: how often each policy is reconciled without a cause; heals what watches missed."""
    log_level: str = "info"
    """POSTERN_LOG_LEVEL: debug, info, warning or error."""


_VARIABLES = {
    "sidecar_image": "POSTERN_SIDECAR_IMAGE",
    "sidecar_pull_policy": "POSTERN_SIDECAR_PULL_POLICY",
    "namespace": "POSTERN_NAMESPACE",
    "service": "POSTERN_WEBHOOK_SERVICE",
    "webhook_configuration": "POSTERN_WEBHOOK_CONFIGURATION",
    "certificate_secret": "POSTERN_CERTIFICATE_SECRET",
    "certificate_directory": "POSTERN_CERTIFICATE_DIRECTORY",
    "self_managed_certificates": "POSTERN_SELF_MANAGED_CERTIFICATES",
    "service_account": "POSTERN_CONTROLLER_ACCOUNT",
    "webhook_port": "POSTERN_WEBHOOK_PORT",
    "health_port": "POSTERN_HEALTH_PORT",
    "resync_seconds": "POSTERN_RESYNC_SECONDS",
    "log_level": "POSTERN_LOG_LEVEL",
}


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises SettingsError that names the variable."""
    if not environment.get("POSTERN_SIDECAR_IMAGE"):
        raise SettingsError("POSTERN_SIDECAR_IMAGE is not set: give the image of the sidecar")
    values: dict[str, str | int | bool] = {}
    for name, variable in _VARIABLES.items():
        text = environment.get(variable)
        if text is None:
            continue
        kind = type(getattr(Settings("-"), name))
        values[name] = _parse(variable, text, kind)
    return Settings(**values)  # type: ignore[arg-type]  # _parse gave each its own type


def _parse(variable: str, text: str, kind: type) -> str | int | bool:
    if kind is bool:
        if text not in ("true", "false"):
            raise SettingsError(f"{variable} must be true or false, not {text!r}")
        return text == "true"
    if kind is int:
        if not text.isdecimal():
            raise SettingsError(f"{variable} must be a number, not {text!r}")
        return int(text)
    return text
