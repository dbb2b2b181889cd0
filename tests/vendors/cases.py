"""For each vendor: what a user writes, what then has to arrive at the vendor, and what the server has to learn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.tokens import SigningPair
from tests.support.vendors import auth0, entra, github, google, okta, workos
from tests.support.vendors.auth0 import Auth0
from tests.support.vendors.entra import Entra
from tests.support.vendors.github import GitHub
from tests.support.vendors.google import Google
from tests.support.vendors.grants import AuthorizationServer
from tests.support.vendors.okta import Okta
from tests.support.vendors.workos import WorkOS
from tests.vendors.scene import make_policy

__all__ = ["CASES", "Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """One vendor, set up as its advice says."""

    make: Callable[[SigningPair], AuthorizationServer]
    provider: dict[str, Any]
    authorize: str
    """Place of the authorization endpoint."""
    token: str
    keys: str | None
    """Place of the keys; None: it signs nothing."""
    request: Mapping[str, str]
    """What the authorization request has beside what it always has."""
    headers: Mapping[str, str]
    """What the server learns."""
    tokens: str | None = None
    """Place at which access tokens are checked, where nobody else can read them."""
    spec: dict[str, Any] = field(default_factory=dict)
    scope: str | None = None
    """What the client asks for."""
    granted: str | None = None
    """What it gets; None: what it asked for."""
    authenticates_by: str = "client_secret_post"
    has_nonce: bool = True
    exchange: Mapping[str, str] = field(default_factory=dict)
    """What the token request has beside what it always has."""

    def policy(self, vendor: AuthorizationServer, **changes: Any) -> dict[str, Any]:
        """What the user writes."""
        return make_policy(self.provider, vendor, **{**self.spec, **changes})


_ALICE = {"x-mcp-user-email": "alice@example.com", "x-mcp-user-name": "Alice Example"}
_ENTRA_SCOPE = "openid profile email api://8d9aefa8-8693-45ef-8956-fa6584dfa06f/access_as_user offline_access"

CASES: Mapping[str, Case] = {
    "google": Case(
        make=Google,
        provider={"google": {}},
        authorize=google.AUTHORIZE,
        token=google.TOKEN,
        keys=google.KEYS,
        tokens=google.TOKENINFO,
        spec={"scopes": {"supported": ["https://www.googleapis.com/auth/calendar.readonly"]}},
        scope="https://www.googleapis.com/auth/calendar.readonly",
        request={
            "scope": "openid profile email https://www.googleapis.com/auth/calendar.readonly",
            "access_type": "offline",
            "prompt": "consent",
        },
        headers={
            **_ALICE,
            "x-mcp-user-id": "10769150350006150715113082367",
            "x-mcp-user-picture": "https://lh3.example.com/a",
            "x-mcp-org-id": "example.com",
            "x-mcp-scopes": "https://www.googleapis.com/auth/calendar.readonly",
        },
    ),
    "github": Case(
        make=lambda pair: GitHub(pair, is_github_app=True),
        provider={"github": {}},
        authorize=github.AUTHORIZE,
        token=github.TOKEN,
        keys=None,
        tokens="api.github.com/applications/Iv1.8a61f9b3a7aba766/token",
        request={"scope": "read:user"},
        headers={
            **_ALICE,
            "x-mcp-user-id": "583231",
            "x-mcp-user-username": "alice",
            "x-mcp-user-picture": "https://avatars.example.com/u/583231",
        },
        has_nonce=False,
    ),
    "entra": Case(
        make=Entra,
        provider={"entra": {"tenantID": entra.TENANT}},
        authorize=entra.AUTHORIZE,
        token=entra.TOKEN,
        keys=entra.KEYS,
        spec={"scopes": {"required": ["access_as_user"], "supported": ["access_as_user", "weather.write"]}},
        scope="access_as_user",
        request={"scope": _ENTRA_SCOPE},
        headers={
            "x-mcp-user-id": "0f00",
            "x-mcp-user-name": "Alice Example",
            "x-mcp-user-username": "alice@example.com",
            "x-mcp-org-id": entra.TENANT,
            "x-mcp-roles": "Forecaster",
            "x-mcp-scopes": "access_as_user",
        },
        exchange={"scope": _ENTRA_SCOPE},
    ),
    "okta": Case(
        make=Okta,
        provider={"okta": {"domain": "acme.okta.com"}},
        authorize=okta.AUTHORIZE,
        token=okta.TOKEN,
        keys=okta.KEYS,
        spec={"scopes": {"required": ["weather.read"]}},
        scope="weather.read",
        request={"scope": "openid profile email weather.read offline_access"},
        headers={
            **_ALICE,
            "x-mcp-user-id": "00u1abcd",
            "x-mcp-user-username": "alice@example.com",
            "x-mcp-roles": "Everyone,Forecasters",
            "x-mcp-scopes": "weather.read",
        },
        authenticates_by="client_secret_basic",
    ),
    "auth0": Case(
        make=Auth0,
        provider={"auth0": {"domain": "acme.eu.auth0.com", "audience": "urn:weather"}},
        authorize=auth0.AUTHORIZE,
        token=auth0.TOKEN,
        keys=auth0.KEYS,
        spec={"scopes": {"required": ["weather.read"], "supported": ["weather.read", "weather.write"]}},
        scope="weather.read weather.write",
        request={
            "scope": "openid profile email weather.read weather.write offline_access",
            "audience": "urn:weather",
        },
        headers={
            **_ALICE,
            "x-mcp-user-id": "auth0|alice",
            "x-mcp-user-nickname": "alice",
            "x-mcp-user-picture": "https://s.gravatar.example.com/a",
            "x-mcp-org-id": "org_1",
            "x-mcp-permissions": "weather:forecast",
            "x-mcp-scopes": "weather.read,weather.write",
        },
    ),
    "workos": Case(
        make=WorkOS,
        provider={"workos": {"domain": "acme.authkit.app"}},
        authorize=workos.AUTHORIZE,
        token=workos.TOKEN,
        keys=workos.KEYS,
        request={"scope": "openid profile email offline_access"},
        headers={
            **_ALICE,
            "x-mcp-user-id": "user_01JQ0E27VT3MH79RY0FVA4QBP9",
            "x-mcp-org-id": "org_01HRDMC6CM357W30QMHMQ96Q0S",
        },
    ),
}
