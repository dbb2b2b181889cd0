"""One policy in force: this module is its parts together, from the decision to what goes to the server."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.facade_endpoints import FacadeEndpoint
from postern_sidecar.forward.asgi import Forwarder, Order
from postern_sidecar.forward.headers import Fixed, Headers, request_headers, request_length
from postern_sidecar.forward.upload import Receive, Send
from postern_sidecar.gate.decision import Decision, FacadeCall, Forward
from postern_sidecar.gate.issuer import ClientState, IssuerHealth
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.outcome import Principal
from postern_sidecar.tokens.identity_headers import is_identity_header

__all__ = ["Decider", "Enforced", "FacadeDoor"]


class Decider(Protocol):
    """What this module needs of a gate."""

    async def decide(self, head: RequestHead, now: float) -> Decision:
        """Decide one request; never raises."""

    def snapshot(self) -> IssuerHealth:
        """State of the identity provider."""

    def unready_reason(self) -> str | None:
        """Why no token can be verified yet; None: it can."""

    async def run(self) -> None:
        """Background work until cancelled."""

    async def aclose(self) -> None:
        """Free connections."""


class FacadeDoor(Protocol):
    """What this module needs of the authorization server of mode Proxy."""

    async def serve(
        self, endpoint: FacadeEndpoint, head: RequestHead, request_id: str, *, receive: Receive, send: Send
    ) -> None:
        """Answer one request. Raises UnsupportedRequest."""

    def client_state(self) -> ClientState:
        """What our client at the identity provider is good for."""


class Enforced:
    """One policy in force: its gate and its way to the server. Immutable, apart from knowing who still uses it."""

    def __init__(
        self, config: SidecarConfig, gate: Decider, forwarder: Forwarder, fixed: Fixed, facade: FacadeDoor | None = None
    ) -> None:
        """Take the parts; facade: the authorization server, in mode Proxy."""
        self.config = config
        self.gate = gate
        self.forwarder = forwarder
        self.fixed = fixed
        self.facade = facade
        self._users = 0
        self._unused = asyncio.Event()

    async def decide(self, head: RequestHead, now: float) -> Decision:
        """Ask the gate."""
        with self._in_use():
            return await self.gate.decide(head, now)

    async def serve(
        self, call: FacadeCall, head: RequestHead, request_id: str, *, receive: Receive, send: Send
    ) -> None:
        """Have the facade answer. Raises UnsupportedRequest."""
        if self.facade is None:
            raise LookupError("there is no facade in this mode")
        with self._in_use():
            await self.facade.serve(call.endpoint, head, request_id, receive=receive, send=send)

    def snapshot(self) -> IssuerHealth:
        """Give the state of the identity provider, and of our client there."""
        health = self.gate.snapshot()
        return health if self.facade is None else replace(health, client=self.facade.client_state())

    async def run(self) -> None:
        """Keep keys and metadata fresh."""
        await self.gate.run()

    async def aclose(self) -> None:
        """Close the gate once whoever began under it has his decision, or his answer of the facade."""
        while self._users:
            await self._unused.wait()
        await self.gate.aclose()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    def order(self, head: RequestHead, decision: Forward, request_id: bytes) -> Order:
        """Compose what goes to the server. Raises UnsupportedRequest."""
        received = list(head.headers)
        principal = decision.principal
        headers = request_headers(
            received,
            self.fixed,
            peer=head.peer,
            is_identity=lambda name: is_identity_header(name, self.config),
            added=[(b"x-request-id", request_id), *_said_of(principal)],
        )
        return Order(
            method=head.method.encode("ascii"),
            path=decision.target,
            query=head.query,
            headers=headers,
            length=request_length(received),
            has_length=any(name == b"content-length" for name, _ in received),
            response_headers=list(decision.response_headers),
        )


def _said_of(principal: Principal | None) -> Headers:
    """Give the headers by which the server learns who asks; none on public paths."""
    if principal is None:
        return []
    authorization = [] if principal.authorization is None else [(b"authorization", principal.authorization)]
    return [*authorization, *principal.headers]
