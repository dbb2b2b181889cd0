"""Logins through real processes in mode Proxy, with an identity provider and a server on real sockets."""

import asyncio
import json
from base64 import urlsafe_b64decode
from itertools import cycle
from threading import Event
from typing import Any

from tests.sidecar.facade.building import make_ring
from tests.sidecar.policy.volume import Volume
from tests.sidecar.process import Process, run_sidecar
from tests.sidecar.proxy.conftest import MakeFiles
from tests.sidecar.proxy.journey import Journey
from tests.support.fake_idp import TOKEN_PATH, FakeIdp
from tests.support.fake_issuer import JWKS_PATH, METADATA_PATH, OPENID_PATH, Behaviour
from tests.support.policies import PROXY, RESOURCE_URL
from tests.support.upstream import Script, answering, serve

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def server(seen: list[tuple[bytes, bytes]] | None = None) -> Script:
    return answering(*[OK] * 20, seen=seen)


def header(head: bytes, name: str) -> str | None:
    found = [line for line in head.decode().split("\r\n") if line.startswith(f"{name}: ")]
    assert len(found) <= 1
    return found[0].partition(": ")[2] if found else None


async def until_ready(sidecar: Process) -> None:
    async with asyncio.timeout(10):
        while (await sidecar.health("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


async def client_state(sidecar: Process) -> str:
    status: dict[str, Any] = (await sidecar.health("/status")).json()
    return str(status["issuer"]["client"])


async def test_client_that_knows_nothing_gets_a_token_that_the_server_is_called_with(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    volume.swap(files())
    seen: list[tuple[bytes, bytes]] = []
    async with serve(server(seen)) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await until_ready(sidecar)
        journey = Journey(lambda: sidecar.port)
        assert (await journey.ask("POST", "/mcp")).status_code == 401
        await journey.run()
        assert journey.tokens["scope"] == "mcp:read"
        first, second = await journey.call(), await journey.call()
        assert (first.status_code, second.status_code) == (200, 200)
        await journey.refresh()
        assert (await journey.call()).status_code == 200
        assert await client_state(sidecar) == "ready"
        metrics = (await sidecar.health("/metrics")).text
        sidecar.terminate()
        lines = await sidecar.rest()
    for number, (head, _) in enumerate(seen):
        assert header(head, "x-mcp-user-id") == "alice", number
        assert header(head, "x-mcp-scopes") == "mcp:read"
        assert header(head, "authorization") is None
        claims = header(head, "x-mcp-claims") or ""
        assert json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["name"] == "Alice"
    assert 'postern_facade_requests_total{endpoint="token",event="issued"} 1.0' in metrics
    assert 'postern_facade_requests_total{endpoint="token",event="refreshed"} 1.0' in metrics
    assert 'postern_decisions_total{outcome="facade",reason="none"} 6.0' in metrics
    assert 'postern_token_cache_lookups_total{result="hit"} 1.0' in metrics
    told = [(line["endpoint"], line["result"]) for line in lines if line["event"] == "facade"]
    assert told == [
        ("register", "registered"),
        ("authorize", "consent_asked"),
        ("consent", "login_begun"),
        ("callback", "code_issued"),
        ("token", "issued"),
        ("token", "refreshed"),
    ]
    text = json.dumps(lines)
    for secret in (*idp.secrets(), journey.verifier, journey.client_id, *map(str, journey.tokens.values())):
        assert secret in ("Bearer", "mcp:read") or len(secret) < 6 or secret not in text


async def test_process_that_is_replaced_between_every_two_steps_loses_no_login(
    volume: Volume, files: MakeFiles
) -> None:
    volume.swap(files())
    ports = [0]
    journey = Journey(lambda: ports[0])
    steps = (
        journey.register,
        journey.authorize,
        journey.approve,
        journey.log_in,
        journey.come_back,
        journey.redeem,
        journey.refresh,
    )
    async with serve(server()) as upstream:
        for step in steps:
            async with run_sidecar(volume.directory, upstream.port) as sidecar:
                ports[0] = sidecar.port
                await step()
        async with run_sidecar(volume.directory, upstream.port) as sidecar:
            ports[0] = sidecar.port
            assert (await journey.call()).status_code == 200


async def test_two_replicas_in_turn_are_one_authorization_server(volume: Volume, files: MakeFiles) -> None:
    volume.swap(files())
    async with (
        serve(server()) as upstream,
        run_sidecar(volume.directory, upstream.port) as one,
        run_sidecar(volume.directory, upstream.port) as two,
    ):
        turns = cycle((one, two))
        journey = Journey(lambda: next(turns).port)
        await journey.run()
        assert [(await journey.call()).status_code for _ in range(4)] == [200] * 4
        await journey.refresh()
        assert (await journey.call()).status_code == 200


async def test_client_secret_that_comes_later_is_used_without_a_restart(volume: Volume, files: MakeFiles) -> None:
    volume.swap(files(secret=None))
    async with serve(server()) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        await until_ready(sidecar)
        journey = Journey(lambda: sidecar.port)
        await journey.register()
        refused = await journey.browse("GET", journey.authorize_path())
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert "administrator" in refused.text
        assert await client_state(sidecar) == "secret_missing"
        volume.swap(files())
        await sidecar.line("policy in force")
        assert await client_state(sidecar) == "ready"
        await journey.authorize()
        for step in (journey.approve, journey.log_in, journey.come_back, journey.redeem):
            await step()
        assert (await journey.call()).status_code == 200


async def test_wrong_client_secret_is_reported_and_its_rotation_ends_that(volume: Volume, files: MakeFiles) -> None:
    volume.swap(files(secret="old"))
    async with serve(server()) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        journey = Journey(lambda: sidecar.port)
        for step in (journey.register, journey.authorize, journey.approve, journey.log_in, journey.come_back):
            await step()
        refused = await journey.ask("POST", "/token", data=journey.code_form())
        assert (refused.status_code, refused.json()["error"]) == (500, "server_error")
        line = await sidecar.line("client_rejected")
        assert (line["file"], line["field"]) == ("client-secret", "spec.proxy.client.secretRef")
        assert await client_state(sidecar) == "secret_rejected"
        volume.swap(files())
        await sidecar.line("policy in force")
        assert await client_state(sidecar) == "ready"
        await Journey(lambda: sidecar.port).run()


async def test_key_ring_that_comes_later_makes_the_pod_ready_without_a_restart(
    volume: Volume, files: MakeFiles
) -> None:
    volume.swap(files(ring=None))
    async with serve(server()) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        journey = Journey(lambda: sidecar.port)
        assert "keys.json" in (await sidecar.health("/readyz")).text
        assert await client_state(sidecar) == "keys_missing"
        for path in ("/register", "/token", "/revoke"):
            answer = await journey.ask("POST", path, json={})
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
            assert answer.headers["retry-after"]
        page = await journey.ask("GET", "/authorize")
        assert page.status_code == 503
        assert page.headers["content-type"].startswith("text/html")
        held = await journey.ask("POST", "/mcp", headers={"authorization": "Bearer abc"})
        assert held.status_code == 503
        assert "www-authenticate" not in held.headers
        volume.swap(files())
        await sidecar.line("policy in force")
        await until_ready(sidecar)
        await journey.run()
        assert (await journey.call()).status_code == 200


async def test_broken_key_ring_leaves_the_former_one_in_force(volume: Volume, files: MakeFiles) -> None:
    volume.swap(files())
    async with serve(server()) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        journey = Journey(lambda: sidecar.port)
        await journey.run()
        volume.swap({**files(), "keys.json": b'{"keys": []}'})
        fault = await sidecar.line("policy not usable")
        assert fault["file"].endswith("keys.json")
        assert (await journey.call()).status_code == 200
        await journey.refresh()


async def test_rotation_of_the_ring_in_the_middle_of_a_login_loses_nothing_and_revocation_ends_all(
    volume: Volume, files: MakeFiles
) -> None:
    volume.swap(files())
    async with serve(server()) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        journey = Journey(lambda: sidecar.port)
        for step in (journey.register, journey.authorize, journey.approve, journey.log_in):
            await step()
        volume.swap(files(ring=make_ring("ring-1", "ring-2")))
        await sidecar.line("policy in force")
        await journey.come_back()
        await journey.redeem()
        assert (await journey.call()).status_code == 200
        volume.swap(files(ring=make_ring("ring-3")))
        await sidecar.line("policy in force")
        refused = await journey.call()
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
        lost = await journey.ask("POST", "/token", data=journey.code_form())
        assert (lost.status_code, lost.json()["error"]) == (401, "invalid_client")


async def test_reload_in_the_middle_of_a_login_and_of_a_refresh_loses_neither(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    volume.swap(files())
    async with serve(server()) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        journey = Journey(lambda: sidecar.port)
        for step in (journey.register, journey.authorize, journey.approve, journey.log_in):
            await step()
        volume.swap(files(resource={"name": "Weather"}))
        await sidecar.line("policy in force")
        await journey.come_back()
        await journey.redeem()

        asked, go_on = asyncio.Event(), Event()
        loop = asyncio.get_running_loop()

        def wait(path: str) -> None:
            if path == TOKEN_PATH:
                loop.call_soon_threadsafe(asked.set)
                go_on.wait(10)

        idp.on_request = wait
        refreshing = asyncio.create_task(journey.refresh())
        async with asyncio.timeout(10):
            await asked.wait()
        volume.swap(files(resource={"name": "Climate"}))
        await sidecar.line("policy in force")
        go_on.set()
        async with asyncio.timeout(10):
            await refreshing
        assert (await journey.call()).status_code == 200


async def test_new_pod_serves_those_who_hold_a_token_while_the_identity_provider_is_down(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    volume.swap(files())
    async with serve(server()) as upstream:
        async with run_sidecar(volume.directory, upstream.port) as sidecar:
            journey = Journey(lambda: sidecar.port)
            await journey.run()
        idp.behaviours = dict.fromkeys((METADATA_PATH, OPENID_PATH, JWKS_PATH, TOKEN_PATH), Behaviour.ERROR)
        async with run_sidecar(volume.directory, upstream.port) as another:
            await until_ready(another)
            journey_there = Journey(lambda: another.port)
            journey_there.client_id, journey_there.tokens = journey.client_id, journey.tokens
            assert (await journey_there.call()).status_code == 200
            refused = await journey_there.ask(
                "POST",
                "/token",
                data={
                    "grant_type": "refresh_token",
                    "refresh_token": journey.tokens["refresh_token"],
                    "client_id": journey.client_id,
                },
            )
            assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
            assert "www-authenticate" not in refused.headers
            idp.behaviours = {}
            await another.line("facade")


async def test_discovery_names_us_as_the_authorization_server_without_asking_anybody(
    volume: Volume, idp: FakeIdp, files: MakeFiles
) -> None:
    idp.behaviours = dict.fromkeys((METADATA_PATH, OPENID_PATH, JWKS_PATH), Behaviour.ERROR)
    volume.swap(files())
    async with serve(server()) as upstream, run_sidecar(volume.directory, upstream.port) as sidecar:
        await sidecar.line("policy in force")
        journey = Journey(lambda: sidecar.port)
        resource = (await journey.ask("GET", "/.well-known/oauth-protected-resource/mcp")).json()
        assert (resource["resource"], resource["authorization_servers"]) == (RESOURCE_URL, [PROXY.issuer])
        documents = [
            (await journey.ask("GET", f"/.well-known/{name}")).json()
            for name in ("oauth-authorization-server", "openid-configuration", "oauth-authorization-server/mcp")
        ]
        assert documents[0] == documents[1] == documents[2]
        assert documents[0]["issuer"] == PROXY.issuer
        assert documents[0]["token_endpoint"] == f"{PROXY.issuer}/token"
