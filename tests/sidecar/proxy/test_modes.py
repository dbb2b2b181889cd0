"""What the server gets and what clients hold, by the policy's modes, through real processes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from postern_crds.sidecar_config import RemoteVerification, encode
from tests.sidecar.policy.volume import Volume
from tests.sidecar.process import Process, run_sidecar
from tests.sidecar.proxy.conftest import MakeFiles
from tests.sidecar.proxy.journey import Journey
from tests.sidecar.proxy.test_login import header, server, until_ready
from tests.support.fake_idp import USERINFO_PATH, FakeIdp
from tests.support.policies import make_config
from tests.support.upstream import serve


class Stand:
    """A sidecar, its client, and what the server saw."""

    def __init__(self, sidecar: Process, seen: list[tuple[bytes, bytes]]) -> None:
        self.sidecar = sidecar
        self.seen = seen
        self.journey = Journey(lambda: sidecar.port)

    async def lookups(self, result: str) -> float:
        text = (await self.sidecar.health("/metrics")).text
        name = f'postern_token_cache_lookups_total{{result="{result}"}} '
        return float(next(line for line in text.splitlines() if line.startswith(name)).removeprefix(name))


@asynccontextmanager
async def stand(volume: Volume, contents: dict[str, bytes]) -> AsyncIterator[Stand]:
    volume.swap(contents)
    seen: list[tuple[bytes, bytes]] = []
    async with serve(server(seen)) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        await until_ready(sidecar)
        yield Stand(sidecar, seen)


def asking_userinfo(idp: FakeIdp, *, cache_s: int) -> dict[str, Any]:
    remote = RemoteVerification(
        kind="Userinfo",
        url=idp.origin + USERINFO_PATH,
        client_id="",
        secret_file="",
        auth_method="none",
        cache_s=cache_s,
    )
    return {"remote": remote, "audiences": (), "audience_required": False}


async def test_server_gets_the_identity_providers_token_when_the_policy_says_upstream(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    async with stand(volume, files(forward={"access_token": "Upstream"})) as sidecar:
        journey = sidecar.journey
        await journey.run()
        assert (await journey.call()).status_code == 200
        sent = header(sidecar.seen[0][0], "authorization") or ""
        assert sent.removeprefix("Bearer ") in idp.state.access_tokens
        assert journey.tokens["access_token"] not in sent
        handed_out = journey.tokens["access_token"]
        assert (await journey.ask("POST", "/mcp", headers={"authorization": sent})).status_code == 401, handed_out


async def test_server_gets_the_clients_token_when_the_policy_says_as_received(volume: Volume, files: MakeFiles) -> None:
    async with stand(volume, files(forward={"access_token": "AsReceived"})) as sidecar:
        await sidecar.journey.run()
        await sidecar.journey.call()
        token = sidecar.journey.tokens["access_token"]
        assert header(sidecar.seen[0][0], "authorization") == f"Bearer {token}"


async def test_passthrough_hands_out_the_identity_providers_tokens_and_verifies_them(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    contents = files(proxy={"token_mode": "Passthrough"}, forward={"access_token": "Upstream"})
    async with stand(volume, contents) as sidecar:
        journey = sidecar.journey
        await journey.run()
        assert journey.tokens["access_token"] in idp.state.access_tokens
        assert journey.tokens["refresh_token"] not in idp.state.refresh_tokens
        assert (await journey.call()).status_code == 200
        assert header(sidecar.seen[0][0], "authorization") == f"Bearer {journey.tokens['access_token']}"
        await journey.refresh()
        assert (await journey.call()).status_code == 200


async def test_opaque_tokens_are_verified_by_asking_and_end_when_they_are_revoked(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    idp.opaque = True
    contents = files(proxy={"token_mode": "Passthrough"}, verification=asking_userinfo(idp, cache_s=0))
    async with stand(volume, contents) as sidecar:
        journey = sidecar.journey
        await journey.run()
        assert (await journey.call()).status_code == 200
        assert header(sidecar.seen[0][0], "x-mcp-user-email") == "alice@example.com"
        idp.state.access_tokens.clear()
        refused = await journey.call()
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_sealed_token_over_an_opaque_one_is_read_without_asking(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    idp.opaque = True
    async with stand(volume, files(verification=asking_userinfo(idp, cache_s=0))) as sidecar:
        journey = sidecar.journey
        await journey.run()
        asked = len(idp.calls_to(USERINFO_PATH))
        assert asked
        assert [(await journey.call()).status_code for _ in range(3)] == [200] * 3
        assert len(idp.calls_to(USERINFO_PATH)) == asked
        assert header(sidecar.seen[0][0], "x-mcp-user-email") == "alice@example.com"


async def test_rotated_client_secret_costs_no_verified_token_and_a_changed_policy_all(
    volume: Volume, files: MakeFiles
) -> None:
    async with stand(volume, files()) as sidecar:
        journey = sidecar.journey
        await journey.run()
        await journey.call()
        volume.swap(files(secret="rotated"))
        await sidecar.sidecar.line("policy in force")
        await journey.call()
        assert (await sidecar.lookups("hit"), await sidecar.lookups("miss")) == (1, 1)
        volume.swap(files(verification={"required_scopes": ("mcp:write",)}))
        await sidecar.sidecar.line("policy in force")
        assert (await journey.call()).status_code == 403
        assert (await sidecar.lookups("hit"), await sidecar.lookups("miss")) == (1, 2)


async def test_policy_may_change_its_mode_while_the_process_runs(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    direct = {"issuer": idp.issuer, "metadata_urls": idp.metadata_urls}
    plain = {"policy.json": encode(make_config(issuer=direct)).encode()}
    async with stand(volume, plain) as sidecar:
        journey = sidecar.journey
        assert (await journey.ask("POST", "/register", json={})).status_code == 401
        for _ in range(2):
            volume.swap(files())
            await sidecar.sidecar.line("policy in force")
            await journey.run()
            assert (await journey.call()).status_code == 200
            volume.swap(plain)
            await sidecar.sidecar.line("policy in force")
            assert (await journey.call()).status_code == 401
            assert (await journey.ask("POST", "/register", json={})).status_code == 401


@pytest.mark.parametrize("endpoint", ["/authorize", "/consent", "/token", "/register", "/revoke", "/oauth/callback"])
async def test_nothing_for_the_facade_reaches_the_server(volume: Volume, files: MakeFiles, endpoint: str) -> None:
    async with stand(volume, files(server={"public_paths": ("/*",)})) as sidecar:
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert (await sidecar.journey.ask(method, endpoint)).status_code >= 400
        assert (await sidecar.journey.ask("GET", endpoint + "/")).status_code == 404
        assert sidecar.seen == []


async def test_mode_direct_loads_neither_the_facade_nor_templates_nor_encryption() -> None:
    program = "import json, sys, postern_sidecar.__main__; print(json.dumps(sorted(sys.modules)))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    loaded = json.loads(output)
    assert "postern_sidecar.gate.gate" in loaded
    ours = {f"postern_sidecar.{name}" for name in ("facade", "proxy", "sealing", "tokens.sealed")}
    foreign = {"jinja2", "joserfc.jwe", *ours}
    assert [name for name in loaded if any(name == one or name.startswith(f"{one}.") for one in foreign)] == []
