"""Is this request meant for us? This module checks Host against DNS rebinding (SPEC 67).

A rebound name is a public name that suddenly points at us. So every name is fine that an attacker cannot own: the
public one of the policy, localhost, single labels, IP addresses, and Service names of the pod's own namespace.
"""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.outcome import Reason

__all__ = ["Hosts"]

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_PRIVATE_DOMAINS = r"(?:\.[a-z0-9-]+)*\.(?:local|internal)"
"""Domains of a cluster that nobody can register: cluster.local and the like. Others are for allowedHosts."""
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Hosts:
    """The accepted values of Host for one policy."""

    def __init__(self, config: SidecarConfig, namespace: str) -> None:
        """Take the pod's own namespace; empty outside a cluster."""
        allowed = config.server.allowed_hosts
        self._any = "*" in allowed
        url = urlsplit(config.resource.url)
        self._default_port = _DEFAULT_PORTS.get(url.scheme)
        host = (url.hostname or "").lower()
        self._public = (f"[{host}]" if ":" in host else host, url.port or self._default_port)
        self._allowed = frozenset(_split(entry.lower().encode()) for entry in allowed if entry != "*")
        # One label for a Service, two for a pod of a StatefulSet.
        service = rf"(?:[a-z0-9-]+\.){{1,2}}{re.escape(namespace)}\.svc(?:{_PRIVATE_DOMAINS})?"
        self._services = re.compile(service) if namespace else None

    def check(self, values: list[bytes]) -> Reason | None:
        """Judge all Host headers of a request; None: fine (RFC 9112 section 3.2 wants exactly one)."""
        if len(values) != 1:
            return Reason.MALFORMED_HOST
        split = _split(values[0].lower())
        if split is None:
            return Reason.MALFORMED_HOST
        return None if self._any or self._is_allowed(*split) else Reason.MISDIRECTED_HOST

    def _is_allowed(self, host: str, port: int | None) -> bool:
        effective = (host, port or self._default_port)
        if effective == self._public or not self._allowed.isdisjoint({(host, None), effective}):
            return True
        if host.startswith("["):
            return _is_address(host[1:-1])
        name = host.removesuffix(".")
        if ("." not in name and name) or _is_address(name):
            return True
        return self._services is not None and self._services.fullmatch(name) is not None


def _split(value: bytes) -> tuple[str, int | None] | None:
    match = _HOST.fullmatch(value)
    if match is None:
        return None
    host, port = match.groups()
    return host.decode(), int(port) if port else None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
