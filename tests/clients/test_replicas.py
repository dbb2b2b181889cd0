"""A client that never meets the same sidecar process twice."""

from pathlib import Path

from tests.clients.replicas import balanced
from tests.clients.stage import Place, policy, render
from tests.support.clients.kinds import CLIENTS
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.provider import IdentityProvider
from tests.support.mcp.launch import McpServer


async def test_login_and_refresh_survive_that_each_process_is_killed_after_one_request(
    place: Place, server: McpServer, provider: IdentityProvider, browser: ScriptedBrowser, tmp_path: Path
) -> None:
    folder = tmp_path / "configuration"
    render(policy(place, {"custom": {"issuer": provider.issuer}}), folder)

    async with (
        balanced(folder, server, port=place.port) as balancer,
        CLIENTS["python"](place.url, browser) as client,
    ):
        assert (await client.call("whoami"))["x-mcp-user-id"] == "alice"
        await client.lose_access_token()
        assert await client.call("add", a=2, b=3) == 5

    # 401, two documents, registration, three steps in the browser, code, refresh, and what the client calls.
    assert len(balancer.served) >= 12
    assert len(set(balancer.served)) == len(balancer.served)
