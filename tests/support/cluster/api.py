"""Asks the API server and the cluster's DNS whether they are ready, from the machine."""

import json
import socket
import ssl
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from tests.support.cluster.plan import Plan

REQUEST_LIMIT_S = 5.0
DNS_LIMIT_S = 0.3
FIRST_NAME = "kubernetes.default.svc.cluster.local"


class Api:
    """The API server, as the cluster's administrator."""

    def __init__(self, plan: Plan) -> None:
        trust = ssl.create_default_context(cafile=str(plan.certificates / "ca.crt"))
        trust.load_cert_chain(plan.certificates / "admin.crt", plan.certificates / "admin.key")
        self._open = build_opener(ProxyHandler({}), HTTPSHandler(context=trust)).open
        self._plan = plan

    def is_ready(self) -> bool:
        return self._get("/readyz") == b"ok"

    def is_node_ready(self) -> bool:
        """Whether pods can be scheduled: the node is Ready, nothing keeps pods away, and its kubelet answers.

        The kubelet is asked too because a node that was just started again still has its status of before.
        """
        path = f"/api/v1/nodes/{self._plan.name}"
        node = self._object(path)
        if node is None or node["spec"].get("taints") or self._get(f"{path}/proxy/healthz") != b"ok":
            return False
        conditions = node["status"].get("conditions", [])
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)

    def has_default_account(self) -> bool:
        """Whether a pod may be made in the namespace ``default``."""
        return self._object("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def has_dns(self) -> bool:
        """Whether the cluster's DNS answers at its ClusterIP."""
        return resolves(self._plan.network.dns, FIRST_NAME)

    def _object(self, path: str) -> dict[str, Any] | None:
        body = self._get(path)
        return None if body is None else dict(json.loads(body))

    def _get(self, path: str) -> bytes | None:
        """The body of a successful answer; ``None`` for any other, or none at all."""
        try:
            with self._open(f"{self._plan.network.api_url}{path}", timeout=REQUEST_LIMIT_S) as answer:
                return bytes(answer.read())
        except (HTTPError, OSError):
            return None


def resolves(server: str, name: str) -> bool:
    """Whether ``server`` knows an IPv4 address of ``name`` (RFC 1035 section 4.1)."""
    header = bytes.fromhex("1234 0100 0001 0000 0000 0000")
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(DNS_LIMIT_S)
        try:
            client.sendto(header + labels + bytes.fromhex("00 0001 0001"), (server, 53))
            answer = client.recv(512)
        except OSError:
            return False
    is_success, answers = answer[3] & 0x0F == 0, int.from_bytes(answer[6:8], "big")
    return is_success and answers > 0
