"""Ourselves as a client of the identity provider: this module redeems its codes, refreshes and revokes its tokens."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import quote_plus

from postern_crds.sidecar_config import UpstreamConfig
from postern_crds.sidecar_files import CLIENT_SECRET_FILE
from postern_sidecar.errors import IdpError
from postern_sidecar.facade.artefacts import Code, RefreshGrant
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.upstream_answers import Refusal, RefusalKind, UpstreamTokens, read_tokens, refusal_of
from postern_sidecar.idp.client import Answer, IdpClient
from postern_sidecar.idp.endpoints import Endpoint, Endpoints
from postern_sidecar.logs import get_logger

__all__ = ["REJECTED_S", "ClientState", "Exchange"]

REJECTED_S = 60.0
"""How long a refusal of our credentials keeps users from logins that would fail as well."""
_MAX_DETAIL = 300
_SECRET_FIELD = "spec.proxy.client.secretRef"  # noqa: S105 - a field's name

ClientState = Literal["none", "ready", "secret_missing", "secret_rejected"]
"""What our credentials are good for, as far as we know; none: the method needs none."""


class Exchange:
    """One policy's; no argument is ever logged."""

    def __init__(self, upstream: UpstreamConfig, endpoints: Endpoints, client: IdpClient, secret: str | None) -> None:
        """Take the secret of our client; None: its file is absent, or the method needs none."""
        self._upstream = upstream
        self._endpoints = endpoints
        self._client = client
        self._secret = secret
        self._rejected_at: float | None = None

    def rejected_recently(self, now: float) -> bool:
        """Tell whether the identity provider refused our credentials within the last minute, and took none since."""
        return self._rejected_at is not None and now - self._rejected_at < REJECTED_S

    def client_state(self) -> ClientState:
        """Give what our credentials are good for. A refusal stands until they are taken again: status must not flap."""
        if self._upstream.auth_method == "none":
            return "none"
        if self._secret is None:
            return "secret_missing"
        return "ready" if self._rejected_at is None else "secret_rejected"

    async def redeem(self, code: Code, *, scopes: Sequence[str], now: float) -> UpstreamTokens:
        """Redeem the code inside ours (RFC 6749 section 4.1.3).

        scopes: as asked for upstream. Raises OAuthFault: invalid_grant, server_error (the policy is wrong, or our
        credentials are), temporarily_unavailable.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code.upstream_code,
            "redirect_uri": self._upstream.redirect_uri,
            "code_verifier": code.verifier,
        }
        return await self._ask_tokens(form | self._target(code.resource, scopes), now)

    async def refresh(self, grant: RefreshGrant, *, scopes: Sequence[str], now: float) -> UpstreamTokens:
        """Use the refresh token inside ours (RFC 6749 section 6); else as redeem."""
        form = {"grant_type": "refresh_token", "refresh_token": grant.upstream_token}
        return await self._ask_tokens(form | self._target(grant.resource, scopes), now)

    async def revoke(self, token: str, hint: Literal["access_token", "refresh_token"]) -> None:
        """Revoke a token of the identity provider (RFC 7009), if it can; one that it does not know is no fault.

        Raises OAuthFault: server_error (our credentials), temporarily_unavailable.
        """
        try:
            url = await self._endpoints.find(Endpoint.REVOCATION)
        except IdpError as error:
            raise _unavailable(str(error)) from error
        if url is None:
            return
        form = {"token": token, "token_type_hint": hint}
        refusal = refusal_of(await self._post(url, form))
        if refusal is not None and refusal.kind in (RefusalKind.CLIENT, RefusalKind.OUTAGE):
            # Not taken for a refusal of all logins: some revocation endpoints have rules of their own for clients.
            raise self._fault(refusal, form)

    def _target(self, resource: str, scopes: Sequence[str]) -> dict[str, str]:
        """Give what says for what the tokens are to be, where it is wanted."""
        wanted = {"resource": resource} if self._upstream.sends_resource else {}
        return wanted | ({"scope": " ".join(scopes)} if self._upstream.exchange_scope and scopes else {})

    async def _ask_tokens(self, form: dict[str, str], now: float) -> UpstreamTokens:
        try:
            url = await self._endpoints.require(Endpoint.TOKEN)
        except IdpError as error:
            raise _unavailable(str(error)) from error
        result = read_tokens(await self._post(url, form), now)
        if isinstance(result, Refusal):
            if result.kind is RefusalKind.CLIENT:
                self._rejected_at = now
            raise self._fault(result, form)
        self._rejected_at = None
        return result

    async def _post(self, url: str, form: Mapping[str, str]) -> Answer:
        parameters, headers = self._credentials()
        try:
            return await self._client.post(url, {**form, **parameters}, headers=headers)
        except IdpError as error:
            raise _unavailable(str(error)) from error

    def _credentials(self) -> tuple[dict[str, str], dict[str, str]]:
        """Give the parameters and the headers that say who we are (RFC 6749 section 2.3.1)."""
        client_id = self._upstream.client_id
        if self._upstream.auth_method == "none":
            return {"client_id": client_id}, {}
        if self._secret is None:
            get_logger("postern.facade").error("client_secret_missing", file=CLIENT_SECRET_FILE, field=_SECRET_FIELD)
            raise _unavailable(f"the file {CLIENT_SECRET_FILE} is absent: create the Secret of {_SECRET_FIELD}")
        if self._upstream.auth_method == "client_secret_post":
            return {"client_id": client_id, "client_secret": self._secret}, {}
        # Form-urlencoded before base64, or an id or secret with a colon, a percent sign or a plus cannot log in.
        pair = f"{quote_plus(client_id)}:{quote_plus(self._secret)}"
        return {}, {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def _fault(self, refusal: Refusal, form: Mapping[str, str]) -> OAuthFault:
        detail = self._redact(refusal.detail, form)
        match refusal.kind:
            case RefusalKind.GRANT:
                return OAuthFault("invalid_grant", "The login is good no longer: log in anew.", detail=detail)
            case RefusalKind.OUTAGE:
                return _unavailable(detail)
            case RefusalKind.CLIENT:
                get_logger("postern.facade").error(
                    "client_rejected",
                    file=CLIENT_SECRET_FILE,
                    field=_SECRET_FIELD,
                    client_id=self._upstream.client_id,
                    cause=detail,
                )
                return OAuthFault("server_error", "This server is not set up rightly for logins.", detail=detail)
            case RefusalKind.OTHER:
                return OAuthFault("server_error", "The identity provider cannot serve this login.", detail=detail)

    def _redact(self, text: str, form: Mapping[str, str]) -> str:
        """Take out what an identity provider repeats of our request, then cut."""
        secrets = [form[name] for name in ("code", "code_verifier", "refresh_token", "token") if name in form]
        for secret in (*secrets, *([self._secret] if self._secret else [])):
            text = text.replace(secret, "[redacted]")
        return text[:_MAX_DETAIL]


def _unavailable(detail: str) -> OAuthFault:
    return OAuthFault("temporarily_unavailable", "The identity provider cannot be reached at present.", detail=detail)
