"""Mode Proxy on a cluster: two replicas are one authorization server, and secrets come and change under running pods.

The tests are one story, in this order; the same containers run from its beginning to its end.
"""

from collections.abc import Iterator
from datetime import timedelta

import anyio
import pytest

from examples.demo.endpoint import KnownCall, call_after_login, token_for
from examples.demo.narrator import StepFailed
from examples.demo.stage import FORECAST_ISSUER, FORECAST_URL, Stage
from tests.cluster import master_keys, proxied
from tests.cluster.installation import OPERATOR_NAMESPACE
from tests.cluster.proxied import Forecast
from tests.support.identity.browser import ScriptedBrowser
from tests.support.kube import Kube, wait_for

FIRST_SECRET, SECOND_SECRET = "the first secret", "another one"
KUBELET_S = 150
"""The kubelet looks at a pod's volumes about once a minute, and what it knows of a Secret may be as old."""
CONTROLLER_S = 120
"""The controller reads its master keys once a minute."""


@pytest.fixture(scope="module")
def system(postern: Kube) -> Kube:
    return postern.within(OPERATOR_NAMESPACE)


@pytest.fixture(scope="module")
def master(system: Kube) -> Iterator[str]:
    with master_keys.own_master_key(system, timedelta(hours=2)) as name:
        yield name


@pytest.fixture(scope="module")
def forecast(stage: Stage, master: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forecast]:
    folder = tmp_path_factory.mktemp("proxy")
    with proxied.forecast_behind_postern(stage, folder, FIRST_SECRET) as here:
        # A controller that was at work already knew other master keys.
        wait_for("the ring of this master key", lambda: here.ring() == [master], timeout_s=CONTROLLER_S)
        yield here


@pytest.fixture(scope="module")
def old_token(forecast: Forecast) -> str:
    """Made before the master keys change; it lives for an hour."""
    return _token(forecast)


def _browser(forecast: Forecast, username: str = "alice") -> ScriptedBrowser:
    return ScriptedBrowser(network=forecast.network, username=username, password=f"{username}-pw")


def _log_in(forecast: Forecast, username: str = "alice") -> KnownCall:
    return call_after_login(FORECAST_URL, _browser(forecast, username))


def _token(forecast: Forecast) -> str:
    return token_for(FORECAST_ISSUER, FORECAST_URL, _browser(forecast))


def test_the_identity_provider_registers_nobody(forecast: Forecast) -> None:
    async def ask() -> tuple[dict[str, object], int]:
        async with forecast.network.client() as http:
            metadata = (await http.get(f"{proxied.SSO_ISSUER}/.well-known/openid-configuration")).json()
            answer = await http.post(f"{proxied.SSO_ISSUER}/reg", json={"redirect_uris": ["http://127.0.0.1/cb"]})
            return metadata, answer.status_code

    metadata, status = anyio.run(ask)

    assert "registration_endpoint" not in metadata
    assert status == 404


def test_without_the_clients_secret_logins_get_503_and_status_says_what_to_create(forecast: Forecast) -> None:
    answers = [forecast.authorize() for _ in range(6)]
    condition = wait_for(
        "the condition", lambda: c if (c := forecast.condition("ResolvedRefs")).get("status") == "False" else None
    )

    assert {status for status, _ in answers} == {503}
    assert all("administrator" in page for _, page in answers)
    assert condition["reason"] == "ClientSecretMissing"
    assert f"Secret {proxied.NAMESPACE}/forecast-client, key client-secret" in condition["message"]
    assert proxied.CALLBACK_URL in condition["message"]
    assert forecast.condition("Ready")["status"] == "False"
    assert forecast.is_untouched()


def test_status_tells_the_callback_url_and_every_route(forecast: Forecast) -> None:
    status = forecast.status()

    assert status["callbackURL"] == proxied.CALLBACK_URL
    assert proxied.CALLBACK_URL in forecast.condition("Accepted")["message"]
    assert {"/mcp", "/authorize", "/consent", "/token", "/register", "/revoke", "/oauth/callback"} <= {
        *status["routes"]
    }
    assert status["readyTargets"] == "2/2"


def test_a_secret_that_is_created_later_is_taken_up_by_running_pods(forecast: Forecast) -> None:
    forecast.put_secret(FIRST_SECRET)

    wait_for("both replicas have it", lambda: _opens_everywhere(forecast), timeout_s=KUBELET_S, every_s=1)
    wait_for("ready", lambda: forecast.condition("Ready").get("status") == "True", timeout_s=60)

    assert _log_in(forecast).identity["x-mcp-user-id"] == "alice"
    assert forecast.is_untouched()


def _opens_everywhere(forecast: Forecast) -> bool:
    return {forecast.authorize()[0] for _ in range(8)} == {200}


def test_a_login_wanders_between_replicas_and_the_server_learns_who_calls(forecast: Forecast) -> None:
    before = forecast.issued()

    alice, bob = _log_in(forecast), _log_in(forecast, "bob")

    after = forecast.issued()
    assert all(after[pod] > before[pod] for pod in before), "both replicas took part"
    assert len(before) == 2
    assert alice.identity["x-mcp-user-name"] == "Alice %C5%81ukasz"
    assert alice.identity["x-mcp-roles"] == "admin"
    assert alice.identity["x-mcp-scopes"] == "weather:read"
    assert bob.identity["x-mcp-user-id"] == "bob"
    assert "x-mcp-roles" not in bob.identity
    seen = [(exchange.method, exchange.url, exchange.status) for exchange in alice.exchanges[:5]]
    assert seen == [
        ("POST", FORECAST_URL, 401),
        ("GET", f"{FORECAST_ISSUER}/.well-known/oauth-protected-resource/mcp", 200),
        ("GET", f"{FORECAST_ISSUER}/.well-known/oauth-authorization-server", 200),
        ("POST", f"{FORECAST_ISSUER}/register", 201),
        ("POST", f"{FORECAST_ISSUER}/token", 200),
    ]


def _let_the_controller_look(system: Kube) -> None:
    """Have the sidecars asked now: while all is well, the controller asks every five minutes, and when it starts."""
    system.run("rollout", "restart", "deployment/postern-controller")
    system.rollout("deployment/postern-controller")


def test_a_rotated_secret_is_taken_up_by_running_pods(forecast: Forecast, system: Kube) -> None:
    before = _token(forecast)
    proxied.change_at_provider(forecast.kube, SECOND_SECRET)

    with pytest.raises(StepFailed, match="server_error"):
        _token(forecast)
    _let_the_controller_look(system)
    condition = wait_for(
        "the condition", lambda: c if (c := forecast.condition("ResolvedRefs")).get("status") == "False" else None
    )
    assert condition["reason"] == "ClientSecretRejected"
    assert forecast.calls(before) == {200}, "who is logged in stays so"

    forecast.put_secret(SECOND_SECRET)

    wait_for("a login", lambda: _can_log_in(forecast), timeout_s=KUBELET_S, every_s=2)
    wait_for("all is well", lambda: forecast.condition("ResolvedRefs").get("status") == "True", timeout_s=KUBELET_S)
    assert forecast.is_untouched()


def _can_log_in(forecast: Forecast) -> bool:
    try:
        return bool(_token(forecast))
    except StepFailed:
        return False


def test_a_further_master_key_seals_and_the_older_one_still_opens(
    forecast: Forecast, system: Kube, master: str, old_token: str
) -> None:
    assert master_keys.key_of(old_token) == master

    newer = master_keys.add_master_key(system, timedelta(minutes=30))

    wait_for("the ring", lambda: forecast.ring() == [master, newer], timeout_s=CONTROLLER_S)
    token = wait_for("a token of the newer key", lambda: _sealed_by(forecast, newer), timeout_s=KUBELET_S, every_s=2)
    wait_for("both replicas open it", lambda: forecast.calls(token) == {200}, timeout_s=KUBELET_S)
    assert forecast.calls(old_token) == {200}
    assert forecast.is_untouched()


def _sealed_by(forecast: Forecast, master: str) -> str | None:
    token = _token(forecast)
    return token if master_keys.key_of(token) == master else None


def test_removing_a_master_key_voids_what_it_sealed_and_nothing_else(
    forecast: Forecast, system: Kube, master: str, old_token: str
) -> None:
    newer = forecast.ring()[-1]
    token = _token(forecast)
    assert master_keys.key_of(token) == newer != master

    master_keys.remove_master_key(system, master)

    # Not faster: each call that is let through opens a session on the server.
    patience_s = CONTROLLER_S + KUBELET_S
    wait_for("the old token is void", lambda: forecast.calls(old_token) == {401}, timeout_s=patience_s, every_s=3)
    assert forecast.ring() == [newer]
    assert forecast.calls(token) == {200}
    assert _log_in(forecast).identity["x-mcp-user-id"] == "alice"
    assert forecast.is_untouched()
