"""The verifier against an issuer on a real socket: what an outage, a rotation and a flood do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from postern_sidecar.gate.issuer import Issuer
from postern_sidecar.idp.refreshed import STALE_S, Clock
from postern_sidecar.metrics import Metrics, create_metrics
from postern_sidecar.outcome import Invalid, Reason, Unavailable, Valid
from postern_sidecar.tokens.jwks import UNKNOWN_KID_COOL_DOWN_S
from postern_sidecar.tokens.signed import SignedTokens
from postern_sidecar.tokens.verifier import Verifier
from tests.support.clock import ManualTime
from tests.support.fake_issuer import JWKS_PATH, METADATA_PATH, OPENID_PATH, Behaviour, FakeIssuer
from tests.support.policies import RESOURCE_URL, make_config
from tests.support.samples import sample
from tests.support.tokens import SigningPair, claims_for, issue

NOW = 1_800_000_000.0


class Setup:
    """A verifier of one issuer, and the time that passes for it."""

    def __init__(self, fake: FakeIssuer, **issuer: Any) -> None:
        config = make_config(issuer={"issuer": fake.issuer, "metadata_urls": fake.metadata_urls, **issuer})
        self.fake = fake
        self.time = ManualTime()
        self.metrics: Metrics = create_metrics()
        self.issuer = Issuer(config.issuer, None, self.metrics, Clock(self.time, lambda: NOW))
        source = SignedTokens(config, self.issuer.metadata, self.issuer.jwks)
        self.verifier = Verifier(config, source, self.metrics)

    def token(self, pair: SigningPair, **changes: Any) -> bytes:
        return issue(pair, claims_for(self.fake.issuer, RESOURCE_URL, NOW, **changes)).encode()

    async def verify(self, pair: SigningPair, now: float = NOW, **changes: Any) -> Valid | Invalid | Unavailable:
        return await self.verifier.verify(self.token(pair, **changes), now)

    def metric(self, name: str, **labels: str) -> float | None:
        return sample(self.metrics.registry, name, **labels)


MakeSetup = Callable[..., Setup]


@pytest.fixture
async def make(fake_issuer: FakeIssuer) -> AsyncIterator[MakeSetup]:
    made: list[Setup] = []

    def _make(**issuer: Any) -> Setup:
        made.append(Setup(fake_issuer, **issuer))
        return made[-1]

    yield _make
    for setup in made:
        await setup.issuer.aclose()


async def test_keys_are_discovered_and_fetched_once(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    results = [await setup.verify(rsa_pair, jti=str(number)) for number in range(3)]
    assert all(isinstance(result, Valid) for result in results)
    assert setup.fake.requests == [METADATA_PATH, JWKS_PATH]
    assert setup.metric("postern_jwks_refreshes_total", result="success") == 1


async def test_configured_jwks_uri_needs_no_metadata(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make(jwks_uri=make().fake.jwks_uri)
    assert isinstance(await setup.verify(rsa_pair), Valid)
    assert setup.fake.requests == [JWKS_PATH]


async def test_burst_at_the_start_costs_one_fetch(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    results = await asyncio.gather(*(setup.verify(rsa_pair, jti=str(number)) for number in range(50)))
    assert all(isinstance(result, Valid) for result in results)
    assert setup.fake.requests == [METADATA_PATH, JWKS_PATH]


async def test_principal_says_who_it_is(make: MakeSetup, rsa_pair: SigningPair) -> None:
    result = await make().verify(rsa_pair, client_id=None, azp="cli", scope="a b", email="x@y")
    assert isinstance(result, Valid)
    principal = result.principal
    assert (principal.subject, principal.client_id, principal.scopes) == ("alice", "cli", frozenset("ab"))
    assert principal.expires_at == NOW + 600
    assert (b"x-mcp-user-email", b"x@y") in principal.headers


async def test_verified_token_comes_from_the_cache_until_it_expires(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    first = await setup.verify(rsa_pair)
    assert await setup.verify(rsa_pair, NOW + 599) == first
    assert setup.metric("postern_token_cache_lookups_total", result="hit") == 1
    assert await setup.verify(rsa_pair, NOW + 630) == Invalid(Reason.EXPIRED)
    assert len(setup.verifier) == 1


async def test_refused_token_is_not_cached(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    assert await setup.verify(rsa_pair, aud="other") == Invalid(Reason.WRONG_AUDIENCE)
    assert len(setup.verifier) == 0


@pytest.mark.parametrize(
    ("path", "behaviour", "reason"),
    [
        pytest.param(METADATA_PATH, Behaviour.ERROR, Reason.METADATA_UNAVAILABLE, id="metadata-500"),
        pytest.param(JWKS_PATH, Behaviour.ERROR, Reason.KEYS_UNAVAILABLE, id="keys-500"),
        pytest.param(JWKS_PATH, Behaviour.NOT_FOUND, Reason.KEYS_UNAVAILABLE, id="keys-404"),
        pytest.param(JWKS_PATH, Behaviour.HTML, Reason.KEYS_UNAVAILABLE, id="keys-html"),
        pytest.param(JWKS_PATH, Behaviour.NOT_JSON, Reason.KEYS_UNAVAILABLE, id="keys-broken"),
        pytest.param(JWKS_PATH, Behaviour.HUGE, Reason.KEYS_UNAVAILABLE, id="keys-huge"),
        pytest.param(JWKS_PATH, Behaviour.REDIRECT_AWAY, Reason.KEYS_UNAVAILABLE, id="keys-elsewhere"),
    ],
)
async def test_outage_makes_no_token_invalid(
    make: MakeSetup, rsa_pair: SigningPair, path: str, behaviour: Behaviour, reason: Reason
) -> None:
    setup = make()
    setup.fake.behaviours[path] = behaviour
    assert await setup.verify(rsa_pair) == Unavailable(reason)
    asked = len(setup.fake.requests)
    assert await setup.verify(rsa_pair) == Unavailable(reason)
    assert len(setup.fake.requests) == asked


async def test_metadata_without_jwks_uri_is_an_outage(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    setup.fake.metadata = {"jwks_uri": None}
    assert await setup.verify(rsa_pair) == Unavailable(Reason.KEYS_UNAVAILABLE)
    assert "jwks_uri" in (setup.issuer.health(0).last_error or "")


async def test_jwks_uri_over_plain_http_is_never_called(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    setup.fake.metadata = {"jwks_uri": "http://sso.example.com/jwks"}
    assert await setup.verify(rsa_pair) == Unavailable(Reason.KEYS_UNAVAILABLE)


async def test_key_set_of_only_unusable_keys_is_an_outage(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    setup.fake.keys = [{"kty": "AKP"}, rsa_pair.jwk(use="enc")]
    assert await setup.verify(rsa_pair) == Unavailable(Reason.KEYS_UNAVAILABLE)


async def test_absent_ca_is_an_outage_of_its_own(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make(private_ca=True)
    assert await setup.verify(rsa_pair) == Unavailable(Reason.CA_UNAVAILABLE)
    assert "caBundle" in (setup.issuer.health(0).last_error or "")
    assert setup.fake.requests == []


async def test_tokens_stay_good_while_the_issuer_is_down_for_a_day(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    assert isinstance(await setup.verify(rsa_pair), Valid)
    setup.fake.behaviours = dict.fromkeys((METADATA_PATH, OPENID_PATH, JWKS_PATH), Behaviour.ERROR)
    setup.time.pass_s(STALE_S)
    await setup.issuer.refresh_due()
    assert isinstance(await setup.verify(rsa_pair), Valid)
    assert isinstance(await setup.verify(rsa_pair, jti="new"), Valid)
    setup.time.pass_s(1)
    assert isinstance(await setup.verify(rsa_pair), Unavailable)
    assert setup.metric("postern_jwks_refreshes_total", result="failure") == 1


async def test_rotated_key_is_fetched_when_a_token_names_it(
    make: MakeSetup, rsa_pair: SigningPair, other_rsa_pair: SigningPair
) -> None:
    setup = make()
    await setup.verify(rsa_pair)
    setup.fake.keys.append(other_rsa_pair.jwk())
    assert isinstance(await setup.verify(other_rsa_pair), Valid)


async def test_flood_of_unknown_keys_costs_one_fetch_per_cool_down(
    make: MakeSetup, rsa_pair: SigningPair, other_rsa_pair: SigningPair
) -> None:
    setup = make()
    await setup.verify(rsa_pair)
    forged = [setup.token(SigningPair(f"kid-{number}", "RS256", other_rsa_pair.private)) for number in range(20)]
    for _ in range(2):
        results = await asyncio.gather(*(setup.verifier.verify(token, NOW) for token in forged))
        assert set(results) == {Invalid(Reason.UNKNOWN_KEY)}
    assert setup.fake.count(JWKS_PATH) == 2
    setup.time.pass_s(UNKNOWN_KID_COOL_DOWN_S)
    await setup.verifier.verify(forged[0], NOW)
    assert setup.fake.count(JWKS_PATH) == 3


async def test_unknown_key_while_the_issuer_is_down_is_an_outage(
    make: MakeSetup, rsa_pair: SigningPair, other_rsa_pair: SigningPair
) -> None:
    setup = make()
    await setup.verify(rsa_pair)
    setup.fake.behaviours[JWKS_PATH] = Behaviour.ERROR
    for _ in range(2):
        assert await setup.verify(other_rsa_pair) == Unavailable(Reason.KEYS_UNAVAILABLE)
    assert isinstance(await setup.verify(rsa_pair), Valid)


async def test_withdrawn_key_ends_the_tokens_verified_with_it(
    make: MakeSetup, rsa_pair: SigningPair, other_rsa_pair: SigningPair
) -> None:
    setup = make()
    assert isinstance(await setup.verify(rsa_pair), Valid)
    setup.fake.keys = [other_rsa_pair.jwk()]
    setup.time.pass_s(301)
    await setup.issuer.refresh_due()
    assert await setup.verify(rsa_pair) == Invalid(Reason.UNKNOWN_KEY)


async def test_issuer_is_spelled_as_its_metadata_does(make: MakeSetup, rsa_pair: SigningPair) -> None:
    setup = make()
    stated = setup.fake.issuer + "/"
    setup.fake.metadata = {"issuer": stated}
    result = await setup.verify(rsa_pair, iss=stated)
    assert isinstance(result, Valid)
    assert result.principal.issuer == setup.issuer.name == stated
    assert await setup.verify(rsa_pair) == Invalid(Reason.WRONG_ISSUER)


async def test_other_names_of_the_issuer_are_its_own_byte_for_byte(make: MakeSetup, rsa_pair: SigningPair) -> None:
    other = "https://sts.example.com/tenant/"
    setup = make(other_issuers=(other,))
    result = await setup.verify(rsa_pair, iss=other)
    assert isinstance(result, Valid)
    assert result.principal.issuer == setup.issuer.name, "one identity, whichever name the token has"
    for iss in (other.removesuffix("/"), other.upper(), "https://sts.example.com", [other], None):
        assert await setup.verify(rsa_pair, iss=iss) == Invalid(Reason.WRONG_ISSUER)
