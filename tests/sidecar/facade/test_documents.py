"""How documents are kept: fetched seldom, for all who wait at once, and used while their host is down."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from postern_sidecar.facade.document_fetch import Fetched, unreachable_document
from postern_sidecar.facade.document_rules import bad_document
from postern_sidecar.facade.documents import CACHE_BYTES, MAX_PARALLEL, STALE_S, Document, Documents
from postern_sidecar.facade.faults import OAuthFault
from tests.sidecar.facade.building import NOW
from tests.sidecar.facade.document_host import URL, DocumentHost, document, good

HOUR_S = 3600.0
DAY_S = 86400.0


class Host:
    """Answers fetches from memory, and counts them."""

    def __init__(self) -> None:
        self.fault: OAuthFault | None = None
        self.members: dict[str, Any] = {}
        self.max_age_s: int | None = None
        self.urls: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, url: str) -> Fetched:
        self.urls.append(url)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1
        if self.fault is not None:
            raise self.fault
        return Fetched(json.dumps(document(url, **self.members)).encode(), "application/json", self.max_age_s)


@pytest.fixture
async def host() -> Host:
    return Host()


@pytest.fixture
async def documents(host: Host) -> AsyncIterator[Documents]:
    made = Documents(host)
    yield made
    await made.aclose()


async def error_of(documents: Documents, now: float, url: str = URL) -> str:
    with pytest.raises(OAuthFault) as caught:
        await documents.get(url, now)
    return caught.value.error


async def settled(host: Host, count: int) -> None:
    """Waits until so many fetches are under way."""
    async with asyncio.timeout(5):
        while host.under_way < count:
            await asyncio.sleep(0)


async def test_document_is_given_as_published(documents: Documents) -> None:
    expected = Document(URL, "App", ("https://app.example.com/cb",), ("authorization_code", "refresh_token"))
    assert await documents.get(URL, NOW) == expected


@pytest.mark.parametrize(
    ("max_age_s", "kept_s"),
    [
        pytest.param(None, HOUR_S, id="an hour when nothing is stated"),
        pytest.param(1800, 1800.0, id="as long as stated"),
        pytest.param(0, 300.0, id="five minutes at least"),
        pytest.param(999_999, DAY_S, id="a day at most"),
    ],
)
async def test_document_is_fetched_again_after_its_age(
    documents: Documents, host: Host, max_age_s: int | None, kept_s: float
) -> None:
    host.max_age_s = max_age_s
    await documents.get(URL, NOW)
    await documents.get(URL, NOW + kept_s - 1)
    assert len(host.urls) == 1
    host.members = {"client_name": "Changed"}
    assert (await documents.get(URL, NOW + kept_s)).name == "Changed"
    assert len(host.urls) == 2


async def test_document_serves_for_a_week_while_its_host_is_down(documents: Documents, host: Host) -> None:
    await documents.get(URL, NOW)
    host.fault = unreachable_document("down")
    assert (await documents.get(URL, NOW + DAY_S)).name == "App"
    assert (await documents.get(URL, NOW + STALE_S - 1)).name == "App"
    assert await error_of(documents, NOW + STALE_S) == "temporarily_unavailable"
    host.fault = None
    assert (await documents.get(URL, NOW + STALE_S + 31)).name == "App"


async def test_host_that_is_down_is_asked_again_after_half_a_minute(documents: Documents, host: Host) -> None:
    host.fault = unreachable_document("down")
    assert await error_of(documents, NOW) == "temporarily_unavailable"
    assert await error_of(documents, NOW + 29) == "temporarily_unavailable"
    assert len(host.urls) == 1
    host.fault = None
    assert (await documents.get(URL, NOW + 30)).name == "App"


async def test_stale_document_costs_its_host_one_fetch_in_half_a_minute(documents: Documents, host: Host) -> None:
    await documents.get(URL, NOW)
    host.fault = unreachable_document("down")
    for second in range(30):
        await documents.get(URL, NOW + DAY_S + second)
    assert len(host.urls) == 2


async def test_bad_document_is_refused_and_fetched_again_after_a_minute(documents: Documents, host: Host) -> None:
    host.members = {"client_id": "https://app.example.com/other"}
    assert await error_of(documents, NOW) == "invalid_client"
    assert await error_of(documents, NOW + 59) == "invalid_client"
    assert len(host.urls) == 1
    host.members = {}
    assert (await documents.get(URL, NOW + 60)).name == "App"


async def test_document_that_turns_bad_or_goes_away_is_used_no_longer(documents: Documents, host: Host) -> None:
    await documents.get(URL, NOW)
    host.fault = bad_document("status 404")
    assert await error_of(documents, NOW + HOUR_S) == "invalid_client"
    # Nor does an outage afterwards bring it back.
    host.fault = unreachable_document("down")
    assert await error_of(documents, NOW + HOUR_S + 60) == "temporarily_unavailable"


async def test_many_who_wait_for_one_document_cause_one_fetch(documents: Documents, host: Host) -> None:
    host.gate.clear()
    waiting = [asyncio.create_task(documents.get(URL, NOW)) for _ in range(50)]
    await settled(host, 1)
    host.gate.set()
    assert {found.name for found in await asyncio.gather(*waiting)} == {"App"}
    assert len(host.urls) == 1


async def test_who_goes_away_does_not_end_the_fetch_of_the_others(documents: Documents, host: Host) -> None:
    host.gate.clear()
    first, second = (asyncio.create_task(documents.get(URL, NOW)) for _ in range(2))
    await settled(host, 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    host.gate.set()
    assert (await second).name == "App"
    assert len(host.urls) == 1


async def test_fault_that_is_remembered_keeps_no_frames_alive(documents: Documents, host: Host) -> None:
    host.fault = unreachable_document("down")
    faults = []
    for _ in range(3):
        with pytest.raises(OAuthFault) as caught:
            await documents.get(URL, NOW)
        faults.append(caught.value)
    assert len({id(fault) for fault in faults}) == 3
    kept = documents._failed[URL].fault
    assert (kept.__traceback__, kept.__cause__, kept.__context__) == (None, None, None)


async def test_flood_of_urls_of_one_host_is_cut_off(documents: Documents, host: Host) -> None:
    host.fault = bad_document("status 404")
    for i in range(100):
        await error_of(documents, NOW + i / 10, f"https://victim.example.com/{i}")
    # Ten seconds: a burst of eight, and one in five seconds.
    assert len(host.urls) <= 8 + 2


async def test_flood_of_urls_of_many_hosts_is_cut_off(documents: Documents, host: Host) -> None:
    host.fault = bad_document("status 404")
    errors = [await error_of(documents, NOW + i / 100, f"https://h{i}.example.com/x") for i in range(1000)]
    # Ten seconds: a burst of 32, and four a second.
    assert len(host.urls) <= 32 + 40
    assert errors[-1] == "temporarily_unavailable"


async def test_flood_does_not_touch_clients_that_are_known(documents: Documents, host: Host) -> None:
    known = [f"https://good{i}.example.com/client.json" for i in range(20)]
    for url in known:
        await documents.get(url, NOW)
    host.fault = bad_document("status 404")
    for i in range(3000):
        await error_of(documents, NOW + HOUR_S, f"https://h{i}.example.com/x")
        await error_of(documents, NOW + HOUR_S, f"https://good0.example.com/{i}")
    host.fault = None
    host.members = {"client_name": "Changed"}
    assert {(await documents.get(url, NOW + HOUR_S)).name for url in known} == {"Changed"}


async def test_bad_url_is_refused_without_a_fetch(documents: Documents, host: Host) -> None:
    for url in ("https://127.0.0.1/x", "https://app.example.com/", "https://user@app.example.com/x"):
        assert await error_of(documents, NOW, url) == "invalid_client"
    assert host.urls == []


async def test_few_fetches_are_under_way_at_once_and_refreshes_do_not_wait_for_strangers(
    documents: Documents, host: Host
) -> None:
    await documents.get(URL, NOW)
    host.gate.clear()
    strangers = [asyncio.create_task(documents.get(f"https://h{i}.example.com/x", NOW)) for i in range(20)]
    await settled(host, MAX_PARALLEL)
    refresh = asyncio.create_task(documents.get(URL, NOW + HOUR_S))
    await settled(host, MAX_PARALLEL + 1)
    assert host.urls[-1] == URL
    host.gate.set()
    await asyncio.gather(refresh, *strangers)
    assert host.most_under_way == MAX_PARALLEL + 1


async def test_documents_take_bounded_memory(documents: Documents, host: Host) -> None:
    host.members = {"redirect_uris": [f"https://app.example.com/{i}{'x' * 900}" for i in range(50)]}
    for i in range(100):
        await documents.get(f"https://h{i}.example.com/x", NOW + i)
    assert documents._known.currsize <= CACHE_BYTES
    assert 10 < len(documents._known) < 40
    # The latest are kept.
    await documents.get("https://h99.example.com/x", NOW + 100)
    assert len(host.urls) == 100


async def test_closing_ends_the_fetches_under_way(host: Host) -> None:
    documents = Documents(host)
    host.gate.clear()
    waiting = asyncio.create_task(documents.get(URL, NOW))
    await settled(host, 1)
    await documents.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert host.under_way == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DocumentHost]:
    with DocumentHost(tmp_path) as running:
        yield running


async def test_document_comes_over_the_network_and_outlives_its_server(server: DocumentHost) -> None:
    documents = Documents(server.fetcher())
    server.answer = lambda _path: good(document(client_name="Real"), cache_control="max-age=600")
    assert (await documents.get(URL, NOW)).name == "Real"
    assert (await documents.get(URL, NOW + 599)).name == "Real"
    assert server.count() == 1
    server.answer = lambda _path: (503, {}, b"")
    assert (await documents.get(URL, NOW + 600)).name == "Real"
    server.close()
    assert (await documents.get(URL, NOW + 700)).name == "Real"
    assert server.count() == 2


async def test_document_of_another_url_is_refused_over_the_network(server: DocumentHost) -> None:
    documents = Documents(server.fetcher())
    assert await error_of(documents, NOW, "https://app.example.com/another.json") == "invalid_client"
    assert server.count() == 1
