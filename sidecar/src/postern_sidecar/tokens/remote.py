"""Tokens that only the identity provider can read: this module is the source that asks it.

An answer is one of three things, strictly apart: the token is good, the token is bad, or nobody can tell. Whatever is
no clear answer about the token, such as an outage, a page for people or a refusal of our credentials, is the third.
"""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from postern_crds.sidecar_config import RemoteVerification, SidecarConfig
from postern_sidecar.errors import CaUnavailable, IdpError, MalformedDocument
from postern_sidecar.idp.client import TOTAL_S, Answer, IdpClient
from postern_sidecar.idp.endpoints import Endpoints
from postern_sidecar.idp.metadata import Metadata
from postern_sidecar.idp.refreshed import Refreshed
from postern_sidecar.logs import get_logger
from postern_sidecar.outcome import Invalid, Reason, Unavailable
from postern_sidecar.strict_json import read_object
from postern_sidecar.tokens.jwt import MAX_TOKEN_BYTES
from postern_sidecar.tokens.remote_answers import Binding
from postern_sidecar.tokens.remote_questions import Question, question_for
from postern_sidecar.tokens.signed import issuer_name, issuer_names
from postern_sidecar.tokens.source import Evidence

__all__ = ["MAX_AT_ONCE", "MAX_FLIGHTS", "NEGATIVE_S", "RemoteTokens"]

NEGATIVE_S = 5.0
"""How long a refusal or an outage is remembered for one token: repeating it costs the identity provider nothing."""
MAX_FLIGHTS = 256
"""Tokens under way; with more, the identity provider is not keeping up, and they would only queue."""
MAX_AT_ONCE = 24
"""Tokens asked about at one time: fewer than IdpClient serves, since anybody can send tokens, and logins and keys must
not wait behind them."""
_MAX_REMEMBERED = 10_000
_TOKEN = re.compile(rb"[!-~]+")
"""It goes into headers (RFC 6749 appendix A.12, without the space)."""

Verdict = Mapping[str, Any] | Invalid | Unavailable


@dataclass(frozen=True, slots=True)
class _Remembered:
    until: float
    verdict: Invalid | Unavailable


class RemoteTokens:
    """The source of tokens that are verified by asking."""

    def __init__(
        self,
        config: SidecarConfig,
        remote: RemoteVerification,
        client: IdpClient,
        metadata: Refreshed[Metadata],
        *,
        secret: str | None,
    ) -> None:
        """Take the policy, its remote verification, and the secret for it; None: absent, or none is needed."""
        self._config = config
        self._remote = remote
        self._client = client
        self._metadata = metadata
        self._endpoints = Endpoints(config.issuer, metadata)
        self._question: Question = question_for(remote, secret)
        self._lacks_secret = bool(remote.secret_file) and secret is None
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._flights: dict[bytes, asyncio.Task[Verdict]] = {}
        self._refused: LRUCache[bytes, _Remembered] = LRUCache(_MAX_REMEMBERED)
        self._reported = ""

    @property
    def basis(self) -> object:
        """Always the same: an answer stands for as long as it is trusted."""
        return type(self)

    @property
    def last_error(self) -> str | None:
        """Why the latest question got no answer; None: it did."""
        return self._reported or None

    def unready_reason(self) -> str | None:
        """Whether metadata was at least tried: it says where to ask."""
        if self._config.issuer.metadata_urls and not self._metadata.attempted:
            return "the metadata of the issuer was not loaded yet"
        return None

    async def read(self, token: bytes, now: float) -> Evidence | Invalid | Unavailable:
        """Verify a token; now is in epoch seconds."""
        claims = await self.claims(token, now)
        if isinstance(claims, Invalid | Unavailable):
            return claims
        until = min(now + self._remote.cache_s, claims.get("exp", now + self._remote.cache_s))
        issuer = issuer_name(self._config, self._metadata.value)
        return Evidence(claims, issuer, until, upstream_token=token)

    async def claims(self, token: bytes, now: float) -> Verdict:
        """Ask about a token, or join whoever asks about it already; gives what the answer says of it."""
        if len(token) > MAX_TOKEN_BYTES or _TOKEN.fullmatch(token) is None:
            return Invalid(Reason.MALFORMED_TOKEN)
        digest = hashlib.sha256(token).digest()
        refused = self._refused.get(digest)
        if refused is not None and now < refused.until:
            return refused.verdict
        flight = self._flights.get(digest)
        if flight is None:
            if len(self._flights) >= MAX_FLIGHTS:
                return Unavailable(Reason.VERIFICATION_UNAVAILABLE)
            flight = self._flights[digest] = asyncio.create_task(self._fly(digest, token, now))
        # Shielded: a client that goes away must not take the answer with it that others wait for.
        return await asyncio.shield(flight)

    async def aclose(self) -> None:
        """Stop questions under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights)

    async def _fly(self, digest: bytes, token: bytes, now: float) -> Verdict:
        try:
            verdict = await self._ask(token.decode("ascii"), now)
        finally:
            del self._flights[digest]
        if isinstance(verdict, Invalid | Unavailable):
            self._refused[digest] = _Remembered(now + NEGATIVE_S, verdict)
        return verdict

    async def _ask(self, token: str, now: float) -> Verdict:
        if self._lacks_secret:
            self._report(f"the secret file {self._remote.secret_file} is absent or empty")
            return Unavailable(Reason.CREDENTIALS_UNAVAILABLE)
        try:
            async with asyncio.timeout(TOTAL_S), self._turns:
                answer = await self._question.ask(self._client, await self._url(), token)
        except TimeoutError:
            self._report(f"no turn to ask within {TOTAL_S:g} s: too many tokens at once")
            return Unavailable(Reason.VERIFICATION_UNAVAILABLE)
        except IdpError as error:
            self._report(str(error))
            return Unavailable(error.reason if isinstance(error, CaUnavailable) else Reason.VERIFICATION_UNAVAILABLE)
        return self._judge(answer, now)

    async def _url(self) -> str:
        if self._remote.url is not None:
            return self._question.url(self._remote.url)
        if self._question.endpoint is None:
            raise MalformedDocument(f"verification of kind {self._remote.kind} needs a URL: give it in the policy")
        return await self._endpoints.require(self._question.endpoint)

    def _judge(self, answer: Answer, now: float) -> Verdict:
        document: Mapping[str, Any] | None
        try:
            document = read_object(answer.body)
        except ValueError:
            # Without a body a status says enough where it is about the token.
            document = {} if not answer.body.strip() else None
        if document is not None and self._question.is_about_token(answer.status, document):
            return Invalid(Reason.INACTIVE)
        if document is None or answer.status != 200:
            return self._no_answer(answer, is_json=document is not None)
        try:
            result = self._question.read(document, self._binding(), now)
        except (ValueError, OverflowError) as error:
            self._report(f"the answer of {answer.url} is not what it should be: {error}")
            return Unavailable(Reason.VERIFICATION_UNAVAILABLE)
        self._reported = ""
        return Invalid(result) if isinstance(result, Reason) else result

    def _no_answer(self, answer: Answer, *, is_json: bool) -> Unavailable:
        form = "" if is_json else ", and not as JSON"
        if self._question.authenticates and answer.status == 401:
            advice = f"; check the client id and the secret file {self._remote.secret_file}"
            self._report(f"{answer.url} refuses our own credentials with status 401{advice}")
            return Unavailable(Reason.CREDENTIALS_UNAVAILABLE)
        self._report(f"{answer.url} answered with status {answer.status}{form}")
        return Unavailable(Reason.VERIFICATION_UNAVAILABLE)

    def _binding(self) -> Binding:
        rules = self._config.verification
        return Binding(
            issuers=issuer_names(self._config, self._metadata.value),
            audiences=frozenset(rules.audiences),
            audience_required=rules.audience_required,
            client_id=self._remote.client_id,
            leeway_s=rules.leeway_s,
        )

    def _report(self, cause: str) -> None:
        if cause != self._reported:
            # Once for each cause: an outage would fill the log otherwise.
            get_logger("postern.tokens").warning("tokens cannot be verified", cause=cause)
            self._reported = cause
