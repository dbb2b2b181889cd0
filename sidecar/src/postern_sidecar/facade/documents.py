"""Clients that describe themselves: this module keeps their documents (OAuth Client ID Metadata Document, SPEC 36).

Whoever calls /authorize makes us fetch, so that a document is fetched once for all who wait for it, seldom again, and
unknown ones are few a second and fewer for each host. A known one serves for days while it cannot be fetched.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cachetools import LRUCache

from postern_sidecar.facade.allowances import Allowances
from postern_sidecar.facade.document_fetch import Fetched, unreachable_document
from postern_sidecar.facade.document_rules import Document, host_of, read_document
from postern_sidecar.facade.faults import OAuthFault
from postern_sidecar.logs import get_logger

__all__ = ["Document", "Documents"]

TOTAL_S = 5.0
"""For one document, the wait for its turn included."""
DEFAULT_AGE_S = 3600.0
"""How long a document is used unasked when its host states no max-age."""
MIN_AGE_S = 300.0
MAX_AGE_S = 86400.0
STALE_S = 7 * 86400.0
"""How long a document is used while it cannot be fetched: refreshes of logins must outlive an outage of its host."""
REFUSED_S = 60.0
"""Until a document that was refused is fetched again."""
OUTAGE_S = 30.0
MAX_PARALLEL = 8
CACHE_BYTES = 2 * 1024 * 1024
"""Room for more than 1,000 usual documents."""
_ENTRY_BYTES = 1024
_MAX_FAILURES = 1000
# Logins of people are far below; what a flood could make us send is too little to harm anyone.
_BURST, _PER_S = 32, 4.0
_HOST_BURST, _HOST_PER_S = 8, 0.2


@dataclass(frozen=True, slots=True)
class _Known:
    document: Document
    fetched_at: float
    fresh_until: float


@dataclass(frozen=True, slots=True)
class _Failed:
    fault: OAuthFault
    until: float


class Documents:
    """The documents of all clients. Outlives policies: what it knows depends on none of them."""

    def __init__(self, fetch: Callable[[str], Awaitable[Fetched]]) -> None:
        """Take what fetches a URL, mostly a DocumentFetcher; it raises OAuthFault."""
        self._fetch = fetch
        self._known: LRUCache[str, _Known] = LRUCache(CACHE_BYTES, getsizeof=_weight)
        # Apart from the known ones, so that a flood of bad URLs displaces none of those.
        self._failed: LRUCache[str, _Failed] = LRUCache(_MAX_FAILURES)
        self._flights: dict[str, asyncio.Task[Document | OAuthFault]] = {}
        self._all = Allowances(_BURST, _PER_S)
        self._hosts = Allowances(_HOST_BURST, _HOST_PER_S)
        self._newcomers = asyncio.Semaphore(MAX_PARALLEL)
        self._refreshes = asyncio.Semaphore(MAX_PARALLEL)

    async def get(self, url: str, now: float) -> Document:
        """Give the document of a client_id; now is in epoch seconds.

        Raises OAuthFault: invalid_client when there is no good one, temporarily_unavailable when that is not known.
        """
        host = host_of(url)
        known = self._known.get(url)
        if known is not None and now < known.fresh_until:
            return known.document
        failed = self._failed.get(url)
        outcome = failed.fault if failed is not None and now < failed.until else await self._load(url, host, now)
        if isinstance(outcome, Document):
            return outcome
        known = self._known.get(url)
        if known is not None and now < known.fetched_at + STALE_S:
            return known.document
        raise _copy(outcome)

    async def aclose(self) -> None:
        """Stop the fetches under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights)

    async def _load(self, url: str, host: str, now: float) -> Document | OAuthFault:
        """Fetch, or join the fetch under way."""
        flight = self._flights.get(url)
        if flight is None:
            # Refreshes are as few as the documents known, and nobody's flood may hold them up.
            is_known = url in self._known
            if not is_known and not (self._hosts.take(host, now) and self._all.take("", now)):
                return unreachable_document("too many unknown clients at present")
            turn = self._refreshes if is_known else self._newcomers
            flight = self._flights[url] = asyncio.create_task(self._attempt(url, now, turn))
        # Shielded: a client that goes away must not take the fetch with it that others wait for.
        return await asyncio.shield(flight)

    async def _attempt(self, url: str, now: float, turn: asyncio.Semaphore) -> Document | OAuthFault:
        try:
            async with asyncio.timeout(TOTAL_S), turn:
                fetched = await self._fetch(url)
            document = read_document(url, fetched.body, fetched.content_type)
        except TimeoutError:
            return self._fail(url, unreachable_document(f"no complete answer within {TOTAL_S:g} s"), now)
        except OAuthFault as fault:
            return self._fail(url, _copy(fault), now)
        else:
            age_s = DEFAULT_AGE_S if fetched.max_age_s is None else float(fetched.max_age_s)
            self._known[url] = _Known(document, now, now + min(max(age_s, MIN_AGE_S), MAX_AGE_S))
            self._failed.pop(url, None)
            return document
        finally:
            del self._flights[url]

    def _fail(self, url: str, fault: OAuthFault, now: float) -> OAuthFault:
        is_outage = fault.error == "temporarily_unavailable"
        if not is_outage:
            self._known.pop(url, None)
        self._failed[url] = _Failed(fault, now + (OUTAGE_S if is_outage else REFUSED_S))
        logger = get_logger("postern.facade")
        logger.warning("client document not usable", url=url, cause=fault.detail, known=url in self._known)
        return fault


def _copy(fault: OAuthFault) -> OAuthFault:
    """Give a new one for each use: a raised one holds on to the frames that it passed, and to the answer in them."""
    return OAuthFault(fault.error, fault.description, detail=fault.detail)


def _weight(known: _Known) -> int:
    """About what an entry takes, in bytes."""
    document = known.document
    return _ENTRY_BYTES + 2 * (len(document.name) + sum(64 + len(uri) for uri in document.redirect_uris))
