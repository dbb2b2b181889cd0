"""A gate in front of nothing: requests in, decisions out."""

import json
from typing import Any

from postern_crds.sidecar_config import SidecarConfig
from postern_sidecar.gate.build import OwnNames, build
from postern_sidecar.gate.gate import Answer, FacadeCall, Forward, Gate
from postern_sidecar.gate.request import RequestHead
from postern_sidecar.gate.upstream import connect
from postern_sidecar.material import Material
from postern_sidecar.metrics import create_metrics
from tests.support.fake_issuer import FakeIssuer
from tests.support.policies import RESOURCE_URL, make_config
from tests.support.tokens import SigningPair, claims_for, issue

NOW = 1_800_000_000.0
HOST = ("host", "mcp.example.com")
METADATA_URL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"


def head(method: str, path: str | bytes, *headers: tuple[str, str]) -> RequestHead:
    """A request head; the public Host is added unless one is given."""
    given = headers if any(name == "host" for name, _ in headers) else (HOST, *headers)
    raw = path.encode() if isinstance(path, str) else path
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in given]
    return RequestHead(method, raw, b"", pairs, "192.0.2.1")


def config_for(fake: FakeIssuer, **changes: dict[str, Any]) -> SidecarConfig:
    """A policy whose issuer is the fake one."""
    source = {"issuer": fake.issuer, "metadata_urls": fake.metadata_urls, **changes.pop("issuer", {})}
    return make_config(issuer=source, **changes)


class Door:
    """One gate, asked at a fixed time."""

    def __init__(
        self, fake: FakeIssuer, pair: SigningPair, config: SidecarConfig, previous: Gate | None = None
    ) -> None:
        self.fake = fake
        self.pair = pair
        self.metrics = create_metrics()
        upstream = connect(config, Material(), self.metrics, previous.upstream if previous is not None else None)
        self.gate = build(config, OwnNames((), "team-a"), self.metrics, upstream, upstream.tokens)

    def token(self, **changes: Any) -> str:
        """A token of the issuer, good unless a claim is changed."""
        return issue(self.pair, claims_for(self.fake.issuer, RESOURCE_URL, NOW, **changes))

    def bearer(self, **changes: Any) -> tuple[str, str]:
        """The header that carries such a token."""
        return ("authorization", f"Bearer {self.token(**changes)}")

    async def ask(self, method: str, path: str | bytes, *headers: tuple[str, str]) -> Answer | Forward:
        """What the gate says of a request that is not for the facade."""
        return await self.decide(head(method, path, *headers))

    async def decide(self, asked: RequestHead) -> Answer | Forward:
        """The same for a head at hand."""
        decision = await self.gate.decide(asked, NOW)
        assert not isinstance(decision, FacadeCall)
        return decision

    async def call(self, method: str, path: str | bytes, *headers: tuple[str, str]) -> FacadeCall:
        """What the gate has for the facade."""
        decision = await self.gate.decide(head(method, path, *headers), NOW)
        assert isinstance(decision, FacadeCall)
        return decision

    async def answer(self, method: str, path: str | bytes, *headers: tuple[str, str]) -> Answer:
        """What the gate answers itself."""
        decision = await self.ask(method, path, *headers)
        assert isinstance(decision, Answer)
        return decision

    async def forward(self, method: str, path: str | bytes, *headers: tuple[str, str]) -> Forward:
        """What the gate forwards."""
        decision = await self.ask(method, path, *headers)
        assert isinstance(decision, Forward)
        return decision


def values(decision: Answer | Forward, name: str) -> list[str]:
    """All values of a header that goes back to the client."""
    headers = decision.headers if isinstance(decision, Answer) else decision.response_headers
    return [value.decode() for key, value in headers if key == name.encode()]


def body(answer: Answer) -> dict[str, Any]:
    """The JSON that goes back; its length is what the header says."""
    assert values(answer, "content-length") == [str(len(answer.body))]
    assert values(answer, "content-type") == ["application/json"]
    document = json.loads(answer.body)
    assert isinstance(document, dict)
    return document
