"""The suite's scenarios for authorization servers (SPEC 4.4), with Postern's own as the one under test."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.stage import LOGIN, Place, Sidecar, policy, render, running_sidecar
from tests.conformance.suite import running_suite
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.network import Network
from tests.support.identity.programs import Program, free_port
from tests.support.identity.provider import ProviderOptions, running_provider
from tests.support.mcp.launch import running_server

END_TIMEOUT_S = 30.0
CHECKS = {"authorization-server-metadata", "authorization-server-metadata-cimd", "authorization-code-grant"}


@pytest.fixture(
    params=[pytest.param("", id="whole host"), pytest.param("/weather", id="part of a host")], scope="module"
)
def sidecar(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    place, folder = Place(free_port(), request.param), tmp_path_factory.mktemp("stage")
    options = ProviderOptions(
        resources=(place.url,), default_resource=place.url, clients=(place.client,), registration=False
    )
    with running_server(folder) as server, running_provider(options) as provider:
        render(policy(place, {"custom": {"issuer": provider.issuer}}), folder / "configuration")
        with running_sidecar(folder / "configuration", server, place) as running:
            yield running


async def register(issuer: str, redirect_uri: str) -> str:
    """The id of a new public client. One with a secret is no use: the suite never sends it where none is allowed."""
    metadata = {"redirect_uris": [redirect_uri], "client_name": "conformance suite"}
    async with Network().client() as http:
        answer = (await http.post(f"{issuer}/register", json=metadata)).raise_for_status()
    return str(answer.json()["client_id"])


async def go_to_the_login(suite: Program, issuer: str, redirect_uri: str) -> None:
    """What the suite asks of a person: open its URL, log in, and let the browser come back to it."""
    url = re.compile(rf"^{re.escape(issuer)}/authorize\S+$", re.MULTILINE)
    suite.wait_until(lambda: url.search(suite.written()) is not None and "Callback server started" in suite.written())
    shown = url.search(suite.written())
    callback = await ScriptedBrowser().open(shown[0] if shown else "", redirect_uri=redirect_uri)
    async with Network().client() as http:
        (await http.get(redirect_uri, params=callback)).raise_for_status()


async def test_every_check_is_passed(sidecar: Sidecar, tmp_path: Path) -> None:
    issuer, port = sidecar.place.issuer, free_port()
    redirect_uri = f"http://127.0.0.1:{port}/callback"
    client_id = await register(issuer, redirect_uri)

    names = ["--url", issuer, "--client-id", client_id, "--resource", sidecar.place.url]
    with running_suite(tmp_path, "authorization", *names, "--port", str(port)) as suite:
        await go_to_the_login(suite, issuer, redirect_uri)
        status = suite.process.wait(END_TIMEOUT_S)
        told = suite.written()

    files = (tmp_path / "results").glob("*/checks.json")
    results = {check["id"]: check["status"] for file in files for check in json.loads(file.read_text())}
    assert results == dict.fromkeys(CHECKS, "SUCCESS"), told
    assert status == 0, told
    assert sidecar.facade() == ["register: registered", *LOGIN]
