"""One MCP client and its user's browser: each step is plain HTTP to a real sidecar, and may go to another one."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx

from tests.sidecar.facade.browsing import Form
from tests.support.policies import PROXY, RESOURCE_URL

__all__ = ["REDIRECT_URI", "Journey"]

REDIRECT_URI = "http://127.0.0.1:5123/callback"
_HOST = urlsplit(PROXY.issuer).netloc


class Journey:
    """Steps in their order; what one of them gave is kept for the next."""

    def __init__(self, port: Callable[[], int]) -> None:
        """Take where the next step is to go."""
        self._port = port
        self.verifier = secrets.token_urlsafe(48)
        self.cookies: dict[str, str] = {}
        self.client_id = ""
        self.page = b""
        self.location = ""
        self.tokens: dict[str, Any] = {}

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> httpx.Response:
        """One request of a browser or a program, to the host of the resource."""
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            sent = {"host": _HOST, **(headers or {})}
            return await client.request(
                method, f"http://127.0.0.1:{self._port()}{path}", headers=sent, follow_redirects=False, **content
            )

    async def browse(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> httpx.Response:
        """The same with the browser's cookies."""
        jar = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        response = await self.ask(method, path, headers={**jar, **(headers or {})}, **content)
        for line in response.headers.get_list("set-cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return response

    async def register(self) -> None:
        """The client registers itself."""
        metadata = {"redirect_uris": [REDIRECT_URI], "client_name": "Test client"}
        response = await self.ask("POST", "/register", json=metadata)
        assert response.status_code == 201, response.text
        self.client_id = response.json()["client_id"]

    def authorize_path(self) -> str:
        """Where the client sends the browser."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT_URI,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "state": "client-state",
            "scope": "mcp:read",
            "resource": RESOURCE_URL,
        }
        return f"/authorize?{urlencode(query)}"

    async def authorize(self) -> None:
        """The browser gets the consent page."""
        response = await self.browse("GET", self.authorize_path())
        assert response.status_code == 200, response.text
        self.page = response.content

    async def approve(self) -> None:
        """The user agrees, and is sent to the identity provider."""
        form = {**Form(self.page).fields, "decision": "approve"}
        response = await self.browse("POST", "/consent", data=form, headers={"origin": PROXY.issuer})
        assert response.status_code == 303, response.text
        self.location = response.headers["location"]

    async def log_in(self) -> None:
        """The identity provider sends the browser back."""
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.get(self.location)
        assert response.status_code == 302, response.text
        self.location = response.headers["location"]

    async def come_back(self) -> None:
        """The callback sends the browser to the client, with our code."""
        target = urlsplit(self.location)
        response = await self.browse("GET", f"{target.path}?{target.query}")
        assert response.status_code == 302, response.text
        self.location = response.headers["location"]

    def code_form(self) -> dict[str, str]:
        """What the client sends with its code."""
        answer = {name: values[0] for name, values in parse_qs(urlsplit(self.location).query).items()}
        assert (answer["state"], answer["iss"]) == ("client-state", PROXY.issuer)
        return {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": REDIRECT_URI,
            "code_verifier": self.verifier,
            "client_id": self.client_id,
            "resource": RESOURCE_URL,
        }

    async def redeem(self) -> None:
        """The client gets its tokens."""
        self._keep(await self.ask("POST", "/token", data=self.code_form()))

    async def refresh(self) -> None:
        """The client gets new ones."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self.tokens["refresh_token"],
            "client_id": self.client_id,
        }
        self._keep(await self.ask("POST", "/token", data=form))

    async def call(self) -> httpx.Response:
        """The client calls the server."""
        return await self.ask("POST", "/mcp", headers={"authorization": f"Bearer {self.tokens['access_token']}"})

    async def run(self, *, before: Callable[[], Any] = lambda: None) -> None:
        """All steps to the tokens."""
        for step in (self.register, self.authorize, self.approve, self.log_in, self.come_back, self.redeem):
            before()
            await step()

    def _keep(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.text
        self.tokens = response.json()
