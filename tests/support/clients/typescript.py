"""The official TypeScript SDK, versions 1 and 2, in a Node.js process of its own."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from tests.support.clients.client import Client, ClientFailed
from tests.support.identity.browser import ScriptedBrowser
from tests.support.node_packages import lay_out_program, packages_of

PROJECT = Path(__file__).parent / "node"
REDIRECT_URI = "http://127.0.0.1:3032/callback"
"""As in client.mjs. Nobody listens there: the scripted browser stops before it."""
PATIENCE_S = 30.0


class TypeScriptClient:
    """A process that does one thing after the other."""

    def __init__(self, process: asyncio.subprocess.Process, browser: ScriptedBrowser) -> None:
        self._process = process
        self._browser = browser

    async def connect(self) -> None:
        """The first request, with the login that it needs."""
        await self._do("connect")

    async def tools(self) -> list[str]:
        return [str(name) for name in await self._do("tools")]

    async def call(self, tool: str, **arguments: Any) -> Any:
        answer = await self._do("call", tool=tool, arguments=arguments)
        text = "".join(part.get("text", "") for part in answer["content"])
        if answer.get("isError"):
            raise ClientFailed(text)
        structured = answer.get("structuredContent")
        return text if structured is None else structured.get("result", structured)

    async def lose_access_token(self) -> None:
        await self._do("spoil")

    async def _do(self, command: str, **details: Any) -> Any:
        self._tell({"do": command, **details})
        async with asyncio.timeout(PATIENCE_S):
            while "open" in (message := await self._hear()):
                callback = await self._browser.open(message["open"], redirect_uri=REDIRECT_URI)
                self._tell({"callback": urlencode(callback)})
        if "error" in message:
            raise ClientFailed(message["error"])
        return message["result"]

    def _tell(self, message: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise ClientFailed("the process has no input")
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _hear(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise ClientFailed("the process has no output")
        line = await self._process.stdout.readline()
        if not line:
            raise ClientFailed(f"the process ended with status {await self._process.wait()}")
        message: dict[str, Any] = json.loads(line)
        return message


@asynccontextmanager
async def typescript_client(
    version: str, url: str, browser: ScriptedBrowser, *, auth_method: str | None = None
) -> AsyncIterator[Client]:
    """A client that is connected, until the end of the block; ``version`` of the SDK: v1 or v2.

    ``auth_method``: what it registers for; None: it leaves that open, as the SDK does by itself.
    """
    with TemporaryDirectory(prefix="postern-client-") as folder:
        lay_out_program(PROJECT, Path(folder), packages_of(PROJECT, "clients"))
        process = await asyncio.create_subprocess_exec(
            "node",
            str(Path(folder) / "client.mjs"),
            *(word for word in (version, url, auth_method) if word is not None),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
            limit=2**20,
        )
        try:
            client = TypeScriptClient(process, browser)
            await client.connect()
            yield client
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()
