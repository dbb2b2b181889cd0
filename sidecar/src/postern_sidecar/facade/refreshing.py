"""Parallel refreshes: this module lets many ask the identity provider once, and repeats its answer for a minute.

Clients refresh from several places at once, and lose the answer to a broken connection. An identity provider that
rotates refresh tokens takes a second use for theft and ends the login. Within a replica that cannot happen; two
replicas ask twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from postern_sidecar.facade.artefacts import fingerprint
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.facade.upstream_answers import UpstreamTokens

__all__ = ["HOLD_S", "MAX_BYTES", "MAX_ENTRIES", "Refreshing"]

HOLD_S = 60.0
"""How long an answer is repeated: longer than clients retry, short for tokens in memory."""
WAIT_S = 12.0
"""For a refresh under way: longer than discovery and exchange together may take (5 s each)."""
MAX_ENTRIES = 10_000
MAX_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES = 1024
"""What an entry takes besides its texts."""

Ask = Callable[[], Awaitable[UpstreamTokens]]


@dataclass(frozen=True, slots=True)
class _Held:
    tokens: UpstreamTokens
    until: float
    """Epoch seconds."""
    bytes: int
    expiry: asyncio.TimerHandle
    """Ends it also when nobody asks any more."""


class Refreshing:
    """Bounded, and of this process alone; survives a change of the policy."""

    def __init__(self, *, wait_s: float = WAIT_S, hold_s: float = HOLD_S) -> None:
        self._wait_s = wait_s
        self._hold_s = hold_s
        self._flights: dict[str, asyncio.Task[UpstreamTokens | OAuthFault]] = {}
        self._held: dict[str, _Held] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """Number of answers that are held."""
        return len(self._held)

    async def once(self, upstream_token: str, ask: Ask, now: float) -> UpstreamTokens:
        """Give the answer for a refresh token of the identity provider: a held one, or that of ask.

        now is in epoch seconds. Raises the OAuthFault of ask for all who waited, and temporarily_unavailable when
        waiting takes too long. A waiter that goes away ends nobody else's refresh.
        """
        key = fingerprint(upstream_token)
        held = self._held.get(key)
        if held is not None and now < held.until:
            return held.tokens
        if key not in self._flights:
            self._flights[key] = asyncio.create_task(self._fly(key, ask, now))
        try:
            async with asyncio.timeout(self._wait_s):
                result = await asyncio.shield(self._flights[key])
        except TimeoutError as error:
            raise OAuthFault("temporarily_unavailable", "The refresh takes too long at present.") from error
        if isinstance(result, OAuthFault):
            # The same fault is raised for many: without this its traceback would grow with each.
            raise result.with_traceback(None)
        return result

    def forget(self, upstream_token: str) -> None:
        """Drop what was answered to this token, and the answer that gave it: it was revoked."""
        gone = [key for key, held in self._held.items() if held.tokens.refresh_token == upstream_token]
        for key in (*gone, fingerprint(upstream_token)):
            self._drop(key)

    async def aclose(self) -> None:
        """End what is under way, and forget everything."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights)
        for key in list(self._held):
            self._drop(key)

    async def _fly(self, key: str, ask: Ask, now: float) -> UpstreamTokens | OAuthFault:
        try:
            tokens = await ask()
        except OAuthFault as fault:
            # Given back instead of raised: all who waited may have gone away.
            return fault
        finally:
            del self._flights[key]
        self._hold(key, tokens, now)
        return tokens

    def _hold(self, key: str, tokens: UpstreamTokens, now: float) -> None:
        # Never for longer than half its life: a repeated token must still be of use.
        hold_s = self._hold_s if tokens.expires_in is None else min(self._hold_s, tokens.expires_in / 2)
        self._drop(key)
        texts = (tokens.access_token, tokens.refresh_token, tokens.id_token)
        size = _ENTRY_BYTES + sum(len(text) for text in texts if text is not None)
        expiry = asyncio.get_running_loop().call_later(hold_s, self._drop, key)
        self._held[key] = _Held(tokens, now + hold_s, size, expiry)
        self._bytes += size
        while len(self._held) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self._drop(next(iter(self._held)))

    def _drop(self, key: str) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            held.expiry.cancel()
            self._bytes -= held.bytes
