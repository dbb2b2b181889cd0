"""Our own access tokens, as the gate reads them: whatever is not exactly ours is refused."""

from typing import Any

import msgspec
import pytest

from postern_sidecar.metrics import create_metrics
from postern_sidecar.outcome import Invalid, Principal, Reason, Unavailable, Valid
from postern_sidecar.sealing import Purpose, Seals
from postern_sidecar.tokens.sealed import AccessTokenContent, SealedTokens
from postern_sidecar.tokens.verifier import Verifier
from tests.sidecar.facade.building import make_ring
from tests.support.policies import PROXY, RESOURCE_URL, make_proxy_config

NOW = 1_800_000_000.0
ISSUER = "https://sso.example.com"
SEALS = Seals(make_ring("ring-1", "ring-2", not_before=NOW - 2 * 86400), PROXY.issuer)


def content(**changes: Any) -> AccessTokenContent:
    members: dict[str, Any] = {
        "iss": ISSUER,
        "sub": "alice",
        "client_id": "client-1",
        "scope": ("mcp:read",),
        "aud": RESOURCE_URL,
        "iat": int(NOW),
        "exp": int(NOW) + 600,
        "claims": {"email": "alice@example.com", "scp": ["mcp:admin"], "scope": "mcp:admin", "sub": "mallory"},
    }
    return AccessTokenContent(**{**members, **changes})


def token(*, seals: Seals = SEALS, purpose: Purpose = Purpose.ACCESS_TOKEN, **changes: Any) -> bytes:
    return seals.seal(purpose, msgspec.json.encode(content(**changes)), NOW).encode()


def source(*, seals: Seals | None = SEALS, **parts: Any) -> SealedTokens:
    return SealedTokens(make_proxy_config(**parts), seals)


async def refused(text: bytes, *, now: float = NOW) -> Reason:
    result = await source().read(text, now)
    assert isinstance(result, Invalid), result
    return result.reason


async def principal_of(text: bytes, **parts: Any) -> Principal:
    config = make_proxy_config(**parts)
    result = await Verifier(config, SealedTokens(config, SEALS), create_metrics()).verify(text, NOW)
    assert isinstance(result, Valid), result
    return result.principal


async def test_own_token_speaks_for_the_user_at_the_identity_provider() -> None:
    principal = await principal_of(token())
    assert (principal.issuer, principal.subject, principal.client_id) == (ISSUER, "alice", "client-1")
    assert (b"x-mcp-user-id", b"alice") in principal.headers
    assert (b"x-mcp-user-email", b"alice@example.com") in principal.headers
    assert principal.authorization is None


@pytest.mark.parametrize("table", [("scope", "scp"), ("scp", "scope")])
async def test_scopes_are_those_that_were_granted_whatever_the_claims_say(table: tuple[str, ...]) -> None:
    principal = await principal_of(token(), claims={"scopes": table})
    assert principal.scopes == {"mcp:read"}
    assert (b"x-mcp-scopes", b"mcp:read") in principal.headers


@pytest.mark.parametrize(
    ("access_token", "authorization"),
    [("Strip", None), ("Upstream", b"Bearer upstream-token"), ("AsReceived", b"Bearer " + token(iat=1, exp=2**33))],
)
async def test_server_gets_the_access_token_that_the_policy_says(
    access_token: str, authorization: bytes | None
) -> None:
    if access_token == "AsReceived":
        text = (authorization or b"").removeprefix(b"Bearer ")
    else:
        text = token(upstream_token="upstream-token")
    assert (await principal_of(text, forward={"access_token": access_token})).authorization == authorization


async def test_token_from_before_the_policy_passed_tokens_on_brings_none() -> None:
    assert (await principal_of(token(), forward={"access_token": "Upstream"})).authorization is None


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.ACCESS_TOKEN])
async def test_what_was_sealed_for_another_purpose_is_no_access_token(purpose: Purpose) -> None:
    assert await refused(token(purpose=purpose)) is Reason.UNKNOWN_SEAL


@pytest.mark.parametrize(
    "seals",
    [
        pytest.param(Seals(make_ring("ring-1", "ring-2"), "https://other.example.com"), id="another issuer"),
        pytest.param(Seals(make_ring("stranger"), PROXY.issuer), id="another ring"),
    ],
)
async def test_token_of_another_facade_is_refused(seals: Seals) -> None:
    assert await refused(token(seals=seals)) is Reason.UNKNOWN_SEAL


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: text[:-2] + (b"AA" if text[-2:] != b"AA" else b"BB"), id="tag"),
        pytest.param(lambda text: text[:-30], id="cut"),
        pytest.param(lambda text: text + b"." + text, id="twice"),
        pytest.param(lambda text: b"." + text, id="no header"),
        pytest.param(lambda _: b"", id="nothing"),
        pytest.param(lambda _: b"....", id="dots"),
        pytest.param(lambda _: b"opaque~token+of/somebody==", id="opaque"),
        pytest.param(lambda _: b"x" * 100_000, id="huge"),
        pytest.param(lambda _: b"\xff\xfe", id="no text"),
    ],
)
async def test_spoilt_token_is_refused(spoil: Any) -> None:
    assert await refused(spoil(token())) is Reason.UNKNOWN_SEAL


@pytest.mark.parametrize("body", [b"{}", b"[]", b"", b"\xff", b'{"iss": "x", "surprise": 1}'])
async def test_content_of_another_shape_is_refused(body: bytes) -> None:
    assert await refused(SEALS.seal(Purpose.ACCESS_TOKEN, body, NOW).encode()) is Reason.UNKNOWN_SEAL


async def test_token_for_another_resource_of_ours_is_refused() -> None:
    assert await refused(token(aud="https://mcp.example.com/other")) is Reason.WRONG_AUDIENCE


async def test_token_from_before_the_identity_provider_changed_is_refused() -> None:
    assert await refused(token(iss="https://former.example.com")) is Reason.WRONG_ISSUER


@pytest.mark.parametrize("iss", [ISSUER + "/", "https://sts.example.com/"])
async def test_every_spelling_of_the_identity_provider_is_accepted(iss: str) -> None:
    config = make_proxy_config(issuer={"other_issuers": ("https://sts.example.com/",)})
    assert not isinstance(await SealedTokens(config, SEALS).read(token(iss=iss), NOW), Invalid)


async def test_token_ends_at_its_exp_without_leeway_and_also_in_the_cache() -> None:
    assert await refused(token(), now=NOW + 600) is Reason.EXPIRED
    config = make_proxy_config()
    verifier = Verifier(config, SealedTokens(config, SEALS), create_metrics())
    text = token()
    assert isinstance(await verifier.verify(text, NOW + 599), Valid)
    assert await verifier.verify(text, NOW + 600) == Invalid(Reason.EXPIRED)


async def test_without_a_key_ring_nobody_can_tell() -> None:
    alone = source(seals=None)
    assert await alone.read(token(), NOW) == Unavailable(Reason.KEY_RING_UNAVAILABLE)
    assert "keys.json" in (alone.unready_reason() or "")


async def test_token_under_an_older_key_of_the_ring_is_good_until_the_key_goes() -> None:
    older = Seals(make_ring("ring-1"), PROXY.issuer)
    assert not isinstance(await source().read(token(seals=older), NOW), Invalid)
    newer = Seals(make_ring("ring-2"), PROXY.issuer)
    assert await source(seals=newer).read(token(seals=older), NOW) == Invalid(Reason.UNKNOWN_SEAL)
