"""A facade between a client and an identity provider on a real socket, for tests of tokens."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from postern_crds.sidecar_config import ProxyConfig
from postern_sidecar.facade.artefacts import Code, RefreshGrant, Registration, fingerprint, open_as, seal_as
from postern_sidecar.facade.context import AccessTokens, Context
from postern_sidecar.facade.messages import FacadeAnswer
from postern_sidecar.facade.revoke import revoke
from postern_sidecar.facade.token_endpoint import token
from postern_sidecar.idp.client import IdpClient
from postern_sidecar.outcome import Invalid, Unavailable
from postern_sidecar.tokens.sealed import SealedTokens
from postern_sidecar.tokens.signed import SignedTokens
from postern_sidecar.tokens.source import Evidence
from tests.sidecar.facade.building import NOW, body_of, make_context, make_idp, make_request
from tests.support.fake_idp import FakeIdp
from tests.support.policies import PROXY, RESOURCE_URL, make_proxy_config

__all__ = ["CLIENT_REDIRECT", "VERIFIER", "Scene", "challenge_of"]

VERIFIER = "client-verifier-client-verifier-client-verifier"
UPSTREAM_VERIFIER = "our-own-verifier-our-own-verifier-our-own-verifier"
CLIENT_REDIRECT = "http://127.0.0.1:4567/callback"
NONCE = "nonce-of-this-login"


def challenge_of(verifier: str) -> str:
    """S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Scene:
    """One policy's facade."""

    idp: FakeIdp
    context: Context
    client_id: str

    @classmethod
    def make(
        cls,
        idp: FakeIdp,
        *,
        proxy: Mapping[str, Any] | None = None,
        upstream: Mapping[str, Any] | None = None,
        secret: str | None = "",
        tokens: AccessTokens | None = None,
        **parts: dict[str, Any],
    ) -> "Scene":
        """Changes of the policy as make_proxy_config takes them.

        secret: of our client, empty: the right one. tokens: reads access tokens of idp, None: as JWTs.
        """
        mine = {"auth_method": idp.client.auth_method, **(upstream or {})}
        changed = {"upstream": msgspec.structs.replace(PROXY.upstream, **mine), **(proxy or {})}
        proxy_config: ProxyConfig = msgspec.structs.replace(PROXY, **changed)
        issuer = {"issuer": idp.issuer, "metadata_urls": idp.metadata_urls, **parts.pop("issuer", {})}
        verification = {"supported_scopes": ("mcp:read", "mcp:write"), **parts.pop("verification", {})}
        config = make_proxy_config(proxy_config, issuer=issuer, verification=verification, **parts)
        provider = make_idp(
            config,
            client_secret=idp.client.secret if secret == "" else secret,
            client=IdpClient(None, ca_required=False, total_s=0.5),
        )
        provider = replace(provider, tokens=tokens or SignedTokens(config, provider.metadata, provider.jwks))
        context = make_context(config, idp=provider)
        registration = Registration(redirect_uris=(CLIENT_REDIRECT,), auth_method="none", issued_at=int(NOW))
        return cls(idp, context, seal_as(context.seals, registration, NOW))

    async def aclose(self) -> None:
        """Ends what is under way, and closes connections."""
        await self.context.refreshing.aclose()
        await self.context.idp.client.aclose()

    def another_client(self) -> str:
        """client_id of a client with the same redirect URI."""
        registration = Registration(redirect_uris=(CLIENT_REDIRECT,), auth_method="none", issued_at=int(NOW), name="x")
        return seal_as(self.context.seals, registration, NOW)

    def code_content(self, **changes: Any) -> Code:
        """What our code holds after the user logged in at the identity provider."""
        upstream_code = self.idp.log_in(challenge_of(UPSTREAM_VERIFIER), nonce=NONCE)
        content = Code(
            upstream_code=upstream_code,
            verifier=UPSTREAM_VERIFIER,
            nonce=NONCE,
            client=fingerprint(self.client_id),
            redirect_uri=CLIENT_REDIRECT,
            challenge=challenge_of(VERIFIER),
            scopes=("mcp:read",),
            resource=RESOURCE_URL,
            expires_at=int(NOW) + 60,
        )
        return msgspec.structs.replace(content, **changes)

    def code(self, **changes: Any) -> str:
        """Our code."""
        return seal_as(self.context.seals, self.code_content(**changes), NOW)

    def code_form(self, sealed: str | None = None, **changes: str | None) -> dict[str, str]:
        """A good request; a change to None leaves a parameter out."""
        form = {
            "grant_type": "authorization_code",
            "code": sealed or self.code(),
            "redirect_uri": CLIENT_REDIRECT,
            "code_verifier": VERIFIER,
            "client_id": self.client_id,
            "resource": RESOURCE_URL,
            **changes,
        }
        return {name: value for name, value in form.items() if value is not None}

    def refresh_form(self, refresh_token: str, **changes: str) -> dict[str, str]:
        """A good request."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": self.client_id}
        return {**form, **changes}

    async def ask(self, form: Mapping[str, str], *, now: float = NOW) -> FacadeAnswer:
        """Sends a form to the token endpoint."""
        return await token(make_request("POST", form=form, now=now), self.context)

    async def log_in(self) -> dict[str, Any]:
        """Redeems a code; gives the answer's document."""
        answer = await self.ask(self.code_form())
        assert answer.status == 200, answer.body
        return body_of(answer)

    async def refresh(self, refresh_token: str, **changes: str) -> FacadeAnswer:
        """Sends a refresh."""
        return await self.ask(self.refresh_form(refresh_token, **changes))

    async def revoke(self, **form: str) -> FacadeAnswer:
        """Sends a form to the revocation endpoint."""
        return await revoke(make_request("POST", form={"client_id": self.client_id, **form}), self.context)

    def grant_of(self, refresh_token: str) -> RefreshGrant:
        """What a refresh token of ours holds."""
        grant = open_as(self.context.seals, RefreshGrant, refresh_token)
        assert grant is not None
        return grant

    async def read(self, access_token: str, *, now: float = NOW) -> Evidence:
        """What the gate reads in a sealed access token."""
        evidence = await SealedTokens(self.context.config, self.context.seals).read(access_token.encode(), now)
        assert not isinstance(evidence, Invalid | Unavailable), evidence
        return evidence
