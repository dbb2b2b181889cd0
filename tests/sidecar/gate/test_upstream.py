"""The identity provider of a policy, put together from what lies beside the policy."""

from typing import Any

import pytest

from postern_crds.sidecar_config import RemoteVerification
from postern_sidecar.gate.upstream import connect
from postern_sidecar.material import Material
from postern_sidecar.metrics import create_metrics
from postern_sidecar.outcome import Invalid, Reason, Unavailable
from tests.sidecar.tokens.oracle import INTROSPECTION_PATH, Oracle
from tests.support.fake_issuer import JWKS_PATH, METADATA_PATH, FakeIssuer
from tests.support.policies import PROXY, RESOURCE_URL, make_config, make_proxy_config

NOW = 1_800_000_000.0


def introspecting(url: str, secret_file: str) -> RemoteVerification:
    return RemoteVerification(
        kind="Introspection",
        url=url,
        client_id="our/client",
        secret_file=secret_file,
        auth_method="client_secret_basic",
        cache_s=30,
    )


@pytest.mark.parametrize("secret_file", ["client-secret", "introspection-secret"])
async def test_tokens_are_asked_about_with_the_secret_that_the_policy_names(secret_file: str) -> None:
    with Oracle() as oracle:
        oracle.known["good"] = {"aud": RESOURCE_URL, "sub": "alice"}
        remote = introspecting(oracle.origin + INTROSPECTION_PATH, secret_file)
        config = make_config(issuer={"issuer": oracle.issuer, "metadata_urls": ()}, verification={"remote": remote})
        secrets = {"client-secret": "wrong", "introspection-secret": "wrong", secret_file: oracle.client[1]}
        for material, kind in ((Material(secrets=secrets), dict), (Material(), Unavailable)):
            upstream = connect(config, material, create_metrics(), None)
            assert isinstance(await upstream.tokens.claims(b"good", NOW), kind)
            await upstream.aclose()


@pytest.mark.parametrize(
    ("proxy", "remote", "fetched"),
    [
        pytest.param(False, False, [METADATA_PATH, JWKS_PATH], id="JWT"),
        pytest.param(False, True, [METADATA_PATH], id="asked for"),
        pytest.param(True, True, [METADATA_PATH, JWKS_PATH], id="asked for, with ID tokens"),
    ],
)
async def test_only_what_is_needed_is_kept_fresh(
    fake_issuer: FakeIssuer, *, proxy: bool, remote: bool, fetched: list[str]
) -> None:
    issuer = {"issuer": fake_issuer.issuer, "metadata_urls": fake_issuer.metadata_urls}
    parts: dict[str, Any] = {"issuer": issuer}
    if remote:
        parts["verification"] = {"remote": introspecting("https://sso.example.com/introspect", "client-secret")}
    config = make_proxy_config(PROXY, **parts) if proxy else make_config(**parts)
    upstream = connect(config, Material(), create_metrics(), None)
    await upstream.issuer.refresh_due()
    assert fake_issuer.requests == fetched
    assert upstream.issuer.health(0).reachable
    assert upstream.issuer.health(0).last_success is not None
    await upstream.aclose()


async def test_identity_provider_that_publishes_nothing_is_never_fetched_from() -> None:
    remote = introspecting("http://127.0.0.1:9/introspect", "client-secret")
    config = make_config(issuer={"metadata_urls": ()}, verification={"remote": remote})
    upstream = connect(config, Material(secrets={"client-secret": "s"}), create_metrics(), None)
    assert await upstream.issuer.refresh_due() > 0
    assert upstream.tokens.unready_reason() is None
    assert upstream.issuer.health(0).reachable
    assert upstream.issuer.name == "https://sso.example.com"
    assert await upstream.tokens.claims(b"x", NOW) == Unavailable(Reason.VERIFICATION_UNAVAILABLE)
    health = upstream.issuer.health(0, other_error=upstream.tokens.last_error)
    assert not health.reachable
    assert "127.0.0.1:9" in (health.last_error or "")
    await upstream.aclose()


async def test_issuer_without_metadata_is_ready_once_its_keys_are_there(
    fake_issuer: FakeIssuer,
) -> None:
    issuer = {"issuer": fake_issuer.issuer, "metadata_urls": (), "jwks_uri": fake_issuer.jwks_uri}
    upstream = connect(make_config(issuer=issuer), Material(), create_metrics(), None)
    assert upstream.tokens.unready_reason() is not None
    await upstream.issuer.refresh_due()
    assert upstream.tokens.unready_reason() is None
    assert await upstream.tokens.claims(b"x.y.z", NOW) == Invalid(Reason.MALFORMED_TOKEN)
    await upstream.aclose()
