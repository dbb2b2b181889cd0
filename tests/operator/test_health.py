import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from postern_operator.health import Heartbeat, health_app
from postern_operator.metrics import metrics
from postern_operator.serving import bind, serve


@asynccontextmanager
async def client(reason: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    figures = metrics()
    app = health_app(figures, Heartbeat(figures), lambda: reason[0])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://h") as http:
        yield http


async def test_role_is_alive_while_its_loop_turns() -> None:
    async with client([""]) as http:
        assert (await http.get("/livez")).status_code == 200


async def test_role_says_why_it_is_not_ready() -> None:
    reason = ["waiting for the certificate"]
    async with client(reason) as http:
        answer = await http.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "waiting for the certificate")
        reason[0] = ""
        assert (await http.get("/readyz")).status_code == 200


async def test_metrics_are_exposed() -> None:
    async with client([""]) as http:
        answer = await http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "postern_operator_queue_depth" in answer.text


async def test_open_request_is_finished_after_the_stop() -> None:
    figures = metrics()
    stop, listener = asyncio.Event(), bind(0)
    port = listener.getsockname()[1]
    app = health_app(figures, Heartbeat(figures), lambda: "")
    async with asyncio.timeout(10):
        serving = asyncio.create_task(serve(app, listener, stop=stop))
        writer: asyncio.StreamWriter | None = None
        while writer is None:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.01)
        writer.write(b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        stop.set()
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        await serving
        with pytest.raises(OSError):  # noqa: PT011 - refused, whatever the text
            await asyncio.open_connection("127.0.0.1", port)
