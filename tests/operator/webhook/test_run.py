import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from postern_operator.serving import bind
from postern_operator.webhook.run import Listeners, run
from tests.operator.webhook.test_app import NAME, SETTINGS, review
from tests.support.ca import PrivateCA


@dataclass(slots=True)
class Role:
    """A running webhook role."""

    port: int
    health_port: int
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def readiness(self) -> tuple[int, str]:
        """Ask /readyz once it listens."""
        async with httpx.AsyncClient(trust_env=False) as http:
            while True:
                try:
                    answer = await http.get(f"http://127.0.0.1:{self.health_port}/readyz")
                except httpx.ConnectError:
                    await asyncio.sleep(0.01)
                    continue
                return answer.status_code, answer.text

    async def until_readiness(self, status: int) -> str:
        """Wait until /readyz answers so; gives its text."""
        while (answer := await self.readiness())[0] != status:
            await asyncio.sleep(0.02)
        return answer[1]

    async def admit(self, authority: PrivateCA) -> int:
        """Ask for admission of a pod, over a new connection."""
        trust = ssl.create_default_context(cadata=authority.certificate.decode())
        async with httpx.AsyncClient(verify=trust, trust_env=False) as http:
            return (await http.post(f"https://127.0.0.1:{self.port}/pods", json=review())).status_code


@asynccontextmanager
async def webhook(environment: dict[str, str], directory: Path, withdrawal_s: float = 0.0) -> AsyncIterator[Role]:
    listeners, stop = Listeners(bind(0), bind(0)), asyncio.Event()
    settings = replace(SETTINGS, certificate_directory=str(directory))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(run(settings, environment, listeners, stop=stop, withdrawal_s=withdrawal_s))
        yield Role(listeners.webhook.getsockname()[1], listeners.health.getsockname()[1], stop, task)
        stop.set()


async def test_role_waits_for_its_certificate_saying_so_and_refuses_connections(
    environment: dict[str, str], tmp_path: Path
) -> None:
    async with webhook(environment, tmp_path) as role:
        assert await role.readiness() == (503, "waiting for the certificate")
        with pytest.raises(OSError):  # noqa: PT011 - refused, whatever the text
            await asyncio.open_connection("127.0.0.1", role.port)


async def test_role_is_ready_once_its_own_port_shows_the_certificate(
    environment: dict[str, str], tmp_path: Path
) -> None:
    authority = PrivateCA()
    authority.leaf(NAME, "127.0.0.1").write(tmp_path)
    async with webhook(environment, tmp_path) as role:
        await role.until_readiness(200)
        assert await role.admit(authority) == 200


async def test_stopping_role_is_not_ready_but_serves_on_for_a_while(
    environment: dict[str, str], tmp_path: Path
) -> None:
    authority = PrivateCA()
    authority.leaf(NAME, "127.0.0.1").write(tmp_path)
    async with webhook(environment, tmp_path, withdrawal_s=0.5) as role:
        await role.until_readiness(200)
        role.stop.set()
        assert await role.until_readiness(503) == "stopping"
        assert await role.admit(authority) == 200
        await role.task
        with pytest.raises(OSError):  # noqa: PT011 - refused, whatever the text
            await asyncio.open_connection("127.0.0.1", role.port)
