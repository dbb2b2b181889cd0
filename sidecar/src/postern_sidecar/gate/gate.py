"""May this request pass? This module is the gate: it asks in a fixed order, and never raises."""

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.discovery.facade_metadata import facade_metadata
from postern_sidecar.discovery.locations import Location, Locations
from postern_sidecar.discovery.resource_metadata import resource_metadata
from postern_sidecar.discovery.server_metadata import server_metadata
from postern_sidecar.gate import answers
from postern_sidecar.gate.cors import endpoint_headers
from postern_sidecar.gate.credentials import read_token
from postern_sidecar.gate.decision import Answer, Decision, FacadeCall, Forward, Headers, outcome_of
from postern_sidecar.gate.facade_paths import FacadePaths
from postern_sidecar.gate.hosts import Hosts
from postern_sidecar.gate.issuer import IssuerHealth
from postern_sidecar.gate.origins import Origins
from postern_sidecar.gate.paths import Paths, is_ambiguous
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.gate.upstream import Upstream
from postern_sidecar.logs import get_logger
from postern_sidecar.metrics import Metrics
from postern_sidecar.outcome import Invalid, Principal, Reason, Unavailable
from postern_sidecar.tokens.source import Source
from postern_sidecar.tokens.verifier import Verifier

__all__ = ["Answer", "Decision", "FacadeCall", "Forward", "Gate", "IssuerHealth"]


class Gate:
    """Decides for one policy."""

    def __init__(
        self, config: SidecarConfig, namespace: str, upstream: Upstream, source: Source, metrics: Metrics
    ) -> None:
        """Take the policy, the pod's own namespace (empty outside a cluster), and what verifies access tokens."""
        self._config = config
        self._locations = Locations(config.resource)
        self._hosts = Hosts(config, namespace)
        self._origins = Origins(config)
        self._paths = Paths(config)
        self._facade_paths = FacadePaths(config.proxy)
        self._required = frozenset(config.verification.required_scopes)
        self._metrics = metrics
        self._source = source
        self._verifier = Verifier(config, source, metrics)
        self.upstream = upstream

    async def decide(self, head: RequestHead, now: float) -> Decision:
        """Give the decision; now is in epoch seconds. Never raises."""
        try:
            decision = await self._decide(head, now)
        except Exception:  # noqa: BLE001 - the gate's last line: an undecided request is refused, and counted as our fault
            get_logger("postern.gate").exception("decision failed", method=head.method)
            decision = answers.unavailable(Unavailable(Reason.INTERNAL), ())
        reason = decision.reason if isinstance(decision, Answer) else None
        self._metrics.decisions.labels(outcome_of(decision).value, "none" if reason is None else reason.value).inc()
        return decision

    def adopt(self, previous: "Gate") -> None:
        """Take over the verified tokens of a previous gate; it must have judged by the same policy, keys and trust."""
        self._verifier.adopt(previous._verifier)  # noqa: SLF001 - of the same class

    def snapshot(self) -> IssuerHealth:
        """Give the state of the identity provider."""
        return self.upstream.issuer.health(len(self._verifier), other_error=self._source.last_error)

    async def run(self) -> None:
        """Refresh keys and metadata ahead of time until cancelled; survives any error."""
        await self.upstream.issuer.run()

    def unready_reason(self) -> str | None:
        """Why no token can be verified yet; None: it can."""
        return self._source.unready_reason()

    async def aclose(self) -> None:
        """Let go of connections; the gate decides nothing any more."""
        await self.upstream.aclose()

    async def _decide(self, head: RequestHead, now: float) -> Decision:
        if is_ambiguous(head.raw_path):
            return answers.refusal(Reason.AMBIGUOUS_PATH)
        location = self._locations.find(head.raw_path)
        if location is not None:
            return await self._discover(location, head)
        fault = self._hosts.check(head.values(b"host"))
        if fault is not None:
            return answers.refusal(fault)
        endpoint = self._facade_paths.find(head.raw_path)
        if endpoint is not None:
            return answers.refusal(endpoint) if isinstance(endpoint, Reason) else FacadeCall(endpoint)
        origins = head.values(b"origin")
        if not self._origins.is_allowed(origins):
            return answers.refusal(Reason.FORBIDDEN_ORIGIN)
        cors = endpoint_headers(origins[0] if origins else None)
        if head.method == "OPTIONS" and head.values(b"access-control-request-method"):
            return answers.preflight(head.values(b"access-control-request-headers"), cors)
        if head.method.upper() in ("TRACE", "CONNECT"):
            return answers.method_refusal(cors)
        if self._paths.is_public(head.raw_path):
            return Forward(self._paths.target(head.raw_path), None, cors)
        return await self._authorize(head, cors, now)

    async def _discover(self, location: Location, head: RequestHead) -> Answer:
        if location is Location.NOTHING:
            return answers.document_refusal(Reason.NOT_FOUND)
        if head.method == "OPTIONS":
            return answers.document_preflight(head.values(b"access-control-request-headers"))
        if head.method not in ("GET", "HEAD"):
            return answers.document_refusal(Reason.METHOD_NOT_ALLOWED)
        proxy = self._config.proxy
        if location is Location.RESOURCE_METADATA:
            issuer = self.upstream.issuer.name if proxy is None else proxy.issuer
            return answers.document(resource_metadata(self._config, issuer))
        if proxy is not None:
            return answers.document(facade_metadata(self._config, proxy))
        found = await server_metadata(self.upstream.issuer.metadata)
        if isinstance(found, Unavailable):
            return answers.document_unavailable(found)
        return answers.document(found)

    async def _authorize(self, head: RequestHead, cors: Headers, now: float) -> Decision:
        supported = self._config.verification.supported_scopes
        token = read_token(head.values(b"authorization"))
        if isinstance(token, Reason):
            return self._challenge(token, supported, cors)
        result = await self._verifier.verify(token, now)
        if isinstance(result, Unavailable):
            return answers.unavailable(result, cors)
        if isinstance(result, Invalid):
            return self._challenge(result.reason, supported, cors)
        principal = result.principal
        if not self._required <= principal.scopes:
            # All that the operation needs, not only what lacks: clients replace their scopes (SPEC 29).
            required = self._config.verification.required_scopes
            return self._challenge(Reason.INSUFFICIENT_SCOPE, required, cors, principal)
        return Forward(self._paths.target(head.raw_path), principal, cors)

    def _challenge(
        self, reason: Reason, scopes: tuple[str, ...], cors: Headers, principal: Principal | None = None
    ) -> Answer:
        return answers.challenged(reason, self._config.resource.metadata_url, scopes, cors, principal)
