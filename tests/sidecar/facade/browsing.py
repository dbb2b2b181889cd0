"""A browser without a screen: keeps cookies, follows forms, and remembers what it was told."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from postern_crds.sidecar_config import ClientConfig, EndpointsConfig, ProxyConfig, SidecarConfig
from postern_sidecar.facade.artefacts import Registration, seal_as
from postern_sidecar.facade.authorize import authorize
from postern_sidecar.facade.callback import callback
from postern_sidecar.facade.consent import consent
from postern_sidecar.facade.context import Context
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Clock, Loaded, Refreshed
from tests.sidecar.facade.building import NOW, make_context, make_idp, make_request
from tests.support.policies import PROXY, make_proxy_config

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
"""Of RFC 7636 appendix B."""
REDIRECT = "https://client.example.org/callback"
ISSUER = PROXY.issuer
LOGIN = "https://sso.example.com/login"
CLIENT = ClientConfig(
    id="known-client",
    name="Known Client",
    redirect_uris=(REDIRECT, "http://127.0.0.1/cb", "cursor://anysphere.cursor-mcp/oauth/callback"),
)
OTHER = ClientConfig(id="other-client", name="Other Client", redirect_uris=("https://other.example.org/callback",))
ASKED = {
    "response_type": "code",
    "client_id": CLIENT.id,
    "redirect_uri": REDIRECT,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "state": "client-state",
}
"""A request in which nothing is wrong."""
SCOPES: tuple[str, ...] = ("mcp:read", "mcp:write")
NAVIGATION = {"sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
"""What a browser says when the user opens a link from outside of it."""


def make_policy(proxy: ProxyConfig = PROXY, *, metadata: bool = False, **changes: Any) -> SidecarConfig:
    """A policy whose identity provider has no metadata unless stated, and which knows CLIENT and OTHER."""
    issuer: dict[str, Any] = dict(changes.pop("issuer", {}))
    if not metadata:
        endpoints = EndpointsConfig(
            authorization=LOGIN,
            token="https://sso.example.com/token",
            userinfo=None,
            introspection=None,
            revocation=None,
        )
        issuer = {"metadata_urls": (), "endpoints": endpoints, **issuer}
    if not proxy.clients:
        proxy = msgspec.structs.replace(proxy, clients=(CLIENT, OTHER))
    changes.setdefault("verification", {"supported_scopes": SCOPES})
    return make_proxy_config(proxy, issuer=issuer, **changes)


def make_facade(proxy: ProxyConfig = PROXY, **changes: Any) -> Context:
    """The context of make_policy()."""
    return make_context(make_policy(proxy, **changes))


def make_facade_with_metadata(*, iss_parameter: bool, outage: Exception | None = None) -> Context:
    """A context whose identity provider has metadata, or cannot be reached."""
    document = Metadata(
        issuer="https://sso.example.com",
        raw=b"{}",
        endpoints={"authorization_endpoint": LOGIN},
        jwks_uri=None,
        registration=False,
        metadata_documents=False,
        iss_parameter=iss_parameter,
        pkce=True,
    )

    async def load() -> Loaded[Metadata]:
        if outage is not None:
            raise outage
        return Loaded(document, None)

    config = make_policy(metadata=True)
    known = Refreshed(load, Clock(monotonic=lambda: NOW, wall=lambda: NOW))
    return make_context(config, idp=make_idp(config, metadata=known))


def remembering(**changes: Any) -> ProxyConfig:
    """The proxy part of a policy with consent: Remember."""
    return msgspec.structs.replace(PROXY, consent="Remember", **changes)


def registered(context: Context, **parts: Any) -> str:
    """The client_id of a client that registered itself."""
    fields: dict[str, Any] = {"redirect_uris": (REDIRECT,), "auth_method": "none", "issued_at": int(NOW), **parts}
    return seal_as(context.seals, Registration(**fields), NOW)


class Form(HTMLParser):
    """The first form of a page: where it goes, its fields and its buttons."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.method = self.action = ""
        self.fields: dict[str, str] = {}
        self.decisions: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.method, self.action = values["method"], values["action"]
        elif tag == "input":
            self.fields[values["name"]] = values["value"]
        elif tag == "button":
            self.decisions.append(values["value"])


class Browser:
    """One browser at one facade."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.cookies: dict[str, str] = {}

    async def open(self, *, headers: dict[str, str] | None = None, now: float = NOW, **changes: Any) -> FacadeAnswer:
        """Open /authorize; changes replace parameters of ASKED, None removes one."""
        query = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
        request = make_request(query=query, headers=headers or {}, cookies=self.cookies, now=now)
        return self._keep(await authorize(request, self.context))

    async def decide(
        self,
        page: FacadeAnswer,
        decision: str | None = "approve",
        *,
        headers: dict[str, str] | None = None,
        now: float = NOW,
        **changes: str,
    ) -> FacadeAnswer:
        """Press a button of the consent page; changes replace fields of the form."""
        form = {**Form(page.body).fields, **changes}
        if decision is not None:
            form["decision"] = decision
        origin = {"origin": ISSUER, "sec-fetch-site": "same-origin"} if headers is None else headers
        request = make_request("POST", form=form, headers=origin, cookies=self.cookies, now=now)
        return self._keep(await consent(request, self.context))

    async def come_back(self, query: dict[str, str], *, now: float = NOW) -> FacadeAnswer:
        """Return from the identity provider."""
        request = make_request(query=query, cookies=self.cookies, now=now)
        return self._keep(await callback(request, self.context))

    async def log_in(self, **changes: Any) -> dict[str, str]:
        """Go as far as the identity provider; gives the parameters that it gets."""
        page = await self.open(**changes)
        assert page.status == 200, page
        return query_of(await self.decide(page))

    def transactions(self) -> list[str]:
        return [name for name in self.cookies if "postern-tx-" in name]

    def _keep(self, answer: FacadeAnswer) -> FacadeAnswer:
        for line in set_cookies(answer):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer


def set_cookies(answer: FacadeAnswer) -> list[str]:
    return [value.decode() for name, value in answer.headers if name == b"set-cookie"]


def location_of(answer: FacadeAnswer) -> str:
    """Where an answer redirects to."""
    assert answer.status in (302, 303), answer
    (location,) = (value.decode() for name, value in answer.headers if name == b"location")
    return location


def query_of(answer: FacadeAnswer) -> dict[str, str]:
    """The parameters of a redirect; each is there once."""
    parameters = parse_qs(urlsplit(location_of(answer)).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in parameters.values()), parameters
    return {name: values[0] for name, values in parameters.items()}


def assert_page(answer: FacadeAnswer, status: int, event: str) -> None:
    """It is a page for people that sends nobody anywhere."""
    assert (answer.status, answer.event) == (status, event), answer
    names = [name for name, _ in answer.headers]
    assert b"location" not in names
    assert b"refresh" not in names
    assert b"request-1" in answer.body
    assert f"Status: {status}".encode() in answer.body
