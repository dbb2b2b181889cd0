"""Tokens that only the identity provider can read, with one on a real socket: good, bad, and nobody can tell."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from threading import Event
from typing import Any

import pytest

from postern_crds.sidecar_config import RemoteVerification
from postern_sidecar.gate.issuer import Issuer
from postern_sidecar.idp.client import TOTAL_S, IdpClient
from postern_sidecar.idp.refreshed import Clock
from postern_sidecar.metrics import create_metrics
from postern_sidecar.outcome import Invalid, Reason, Unavailable, Valid
from postern_sidecar.tokens.remote import MAX_FLIGHTS, NEGATIVE_S, RemoteTokens
from postern_sidecar.tokens.verifier import Verifier
from tests.sidecar.tokens.oracle import (
    APP_TOKEN_PATH,
    INTROSPECTION_PATH,
    TOKENINFO_PATH,
    USERINFO_PATH,
    Oracle,
)
from tests.support.fake_issuer import METADATA_PATH, OPENID_PATH, Behaviour
from tests.support.logs import EventDict, capture_logs
from tests.support.policies import RESOURCE_URL, make_config
from tests.support.samples import sample

NOW = 1_800_000_000.0
TOKEN = b"opaque~token+of/alice=="
OUR_ID, OUR_SECRET = "our/client", "s3cret:+%é"
PATHS = {
    "Introspection": INTROSPECTION_PATH,
    "Userinfo": USERINFO_PATH,
    "Tokeninfo": TOKENINFO_PATH,
    "AppToken": APP_TOKEN_PATH,
}
GOOD: dict[str, dict[str, Any]] = {
    "Introspection": {
        "sub": "alice",
        "aud": RESOURCE_URL,
        "client_id": "someone",
        "scope": "a b",
        "exp": int(NOW) + 600,
    },
    "Userinfo": {"sub": "alice", "email": "alice@example.com", "name": None},
    "Tokeninfo": {
        "aud": OUR_ID,
        "azp": OUR_ID,
        "sub": "alice",
        "scope": "openid https://www.googleapis.com/auth/userinfo.email",
        "exp": str(int(NOW) + 600),
        "expires_in": "600",
        "email": "alice@example.com",
        "email_verified": "true",
    },
    "AppToken": {
        "id": 1,
        "url": "https://api.github.com/authorizations/1",
        "app": {"name": "Ours", "client_id": OUR_ID, "url": "https://example.com"},
        "scopes": ["read:user", "user:email"],
        "token": TOKEN.decode(),
        "expires_at": None,
        "user": {
            "login": "alice",
            "id": 583231,
            "avatar_url": "https://avatars.example.com/1",
            "followers_url": "https://api.github.com/users/alice/followers",
            "site_admin": False,
        },
    },
}
KINDS = sorted(GOOD)


class Setup:
    """A source that asks an oracle, and the verifier in front of it."""

    def __init__(self, oracle: Oracle, kind: str, remote: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        takes_credentials = kind in ("Introspection", "AppToken")
        members: dict[str, Any] = {
            "kind": kind,
            "url": oracle.origin + PATHS[kind].replace("our%2Fclient", "{client_id}"),
            "client_id": "" if kind == "Userinfo" else OUR_ID,
            "secret_file": "client-secret" if takes_credentials else "",
            "auth_method": "client_secret_basic" if takes_credentials else "none",
            "cache_s": 60,
        }
        secret = remote.get("secret", OUR_SECRET if takes_credentials else None)
        chosen = {name: value for name, value in remote.items() if name not in ("secret", "total_s")}
        verification = RemoteVerification(**{**members, **chosen})
        issuer = {"issuer": oracle.issuer, "metadata_urls": oracle.metadata_urls, **parts.get("issuer", {})}
        rules = {"remote": verification, **parts.get("verification", {})}
        config = make_config(issuer=issuer, verification=rules)
        self.metrics = create_metrics()
        self.issuer = Issuer(config.issuer, None, self.metrics, Clock(lambda: NOW, lambda: NOW), needs_keys=False)
        self.client = IdpClient(None, ca_required=config.issuer.private_ca, total_s=remote.get("total_s", 0.5))
        self.source = RemoteTokens(config, verification, self.client, self.issuer.metadata, secret=secret)
        self.verifier = Verifier(config, self.source, self.metrics)
        self.oracle, self.path = oracle, PATHS[kind]

    async def verify(self, token: bytes = TOKEN, now: float = NOW) -> Valid | Invalid | Unavailable:
        return await self.verifier.verify(token, now)

    async def claims(self, token: bytes = TOKEN) -> dict[str, Any]:
        found = await self.source.claims(token, NOW)
        assert not isinstance(found, Invalid | Unavailable), found
        return dict(found)

    async def refused(self) -> Reason:
        """Why it is bad; fails when it is good or unknown."""
        result = await self.verify()
        assert isinstance(result, Invalid), result
        return result.reason

    async def aclose(self) -> None:
        await self.source.aclose()
        await self.client.aclose()
        await self.issuer.aclose()


MakeSetup = Callable[..., Setup]


@pytest.fixture
def oracle() -> Iterator[Oracle]:
    with Oracle() as running:
        yield running


@pytest.fixture
async def make(oracle: Oracle, logged: list[EventDict]) -> AsyncIterator[MakeSetup]:
    made: list[Setup] = []

    def _make(kind: str, *, said: Mapping[str, Any] | None = None, parts: Any = None, **remote: Any) -> Setup:
        oracle.known[TOKEN.decode()] = {**GOOD[kind], **(said or {})}
        made.append(Setup(oracle, kind, remote, parts or {}))
        return made[-1]

    yield _make
    for setup in made:
        await setup.aclose()


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """The log lines; at the end none of them may hold a token or a secret."""
    with capture_logs() as lines:
        yield lines
    text = json.dumps(lines, default=str)
    assert TOKEN.decode() not in text
    assert OUR_SECRET not in text


@pytest.mark.parametrize("kind", KINDS)
async def test_good_token_is_asked_about_once_and_then_known(make: MakeSetup, kind: str) -> None:
    setup = make(kind)
    first, second = await setup.verify(), await setup.verify()
    assert isinstance(first, Valid)
    assert first == second
    assert first.principal.issuer == setup.oracle.issuer
    assert len(setup.oracle.asked) == 1
    method, path, _ = setup.oracle.asked[0]
    assert path == setup.path
    assert method == ("GET" if kind == "Userinfo" else "POST")
    assert sample(setup.metrics.registry, "postern_token_cache_lookups_total", result="hit") == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_unknown_token_is_invalid_and_not_asked_about_again_for_a_few_seconds(make: MakeSetup, kind: str) -> None:
    setup = make(kind)
    assert await setup.verify(b"unknown") == Invalid(Reason.INACTIVE)
    assert await setup.verify(b"unknown") == Invalid(Reason.INACTIVE)
    assert len(setup.oracle.asked) == 1
    assert await setup.verify(b"unknown", NOW + NEGATIVE_S) == Invalid(Reason.INACTIVE)
    assert len(setup.oracle.asked) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour.ERROR,
        Behaviour.TOO_MANY,
        Behaviour.HTML,
        Behaviour.NOT_JSON,
        Behaviour.HANG,
        Behaviour.SLOW,
        Behaviour.HUGE,
        Behaviour.COMPRESSED,
        Behaviour.REDIRECT_AWAY,
        Behaviour.REDIRECT_LOOP,
    ],
)
async def test_outage_never_makes_a_token_bad(make: MakeSetup, kind: str, behaviour: Behaviour) -> None:
    setup = make(kind)
    setup.oracle.behaviours[setup.path] = behaviour
    assert await setup.verify() == Unavailable(Reason.VERIFICATION_UNAVAILABLE)
    assert setup.source.last_error is not None
    setup.oracle.behaviours.clear()
    assert await setup.verify() == Unavailable(Reason.VERIFICATION_UNAVAILABLE), "asked again at once"
    assert isinstance(await setup.verify(now=NOW + NEGATIVE_S), Valid)
    assert setup.source.last_error is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param((401, "text/html", b"<html>log in</html>"), id="401 login wall"),
        pytest.param((403, "text/html", b"<html>blocked</html>"), id="403 firewall"),
        pytest.param((403, "application/json", b'{"message": "rate limit exceeded"}'), id="403 rate limit"),
        pytest.param((404, "text/html", b"<html>no such page</html>"), id="404 page"),
        pytest.param((400, "text/html", b"<html>bad request</html>"), id="400 page"),
        pytest.param((200, "application/json", b"[]"), id="a list"),
        pytest.param((200, "application/json", b"{}"), id="an empty object"),
        pytest.param((200, "application/json", b'{"active": true, "active": false}'), id="said twice"),
        pytest.param((204, "application/json", b""), id="nothing"),
        pytest.param((502, "application/json", b'{"error": "invalid_token"}'), id="error of a gateway"),
    ],
)
async def test_answer_that_is_not_clear_never_makes_a_token_bad(
    make: MakeSetup, kind: str, reply: tuple[int, str, bytes]
) -> None:
    setup = make(kind)
    setup.oracle.replies[setup.path] = reply
    assert isinstance(await setup.verify(), Unavailable) or (kind, reply[2]) == ("Tokeninfo", b"{}")


@pytest.mark.parametrize("kind", ["Introspection", "AppToken"])
async def test_refusal_of_our_own_credentials_is_an_outage_that_the_log_explains(
    make: MakeSetup, kind: str, logged: list[EventDict]
) -> None:
    setup = make(kind, secret="wrong")
    assert await setup.verify() == Unavailable(Reason.CREDENTIALS_UNAVAILABLE)
    assert await setup.verify(b"another") == Unavailable(Reason.CREDENTIALS_UNAVAILABLE)
    (line,) = logged
    assert "client-secret" in line["cause"]


@pytest.mark.parametrize("kind", ["Introspection", "AppToken"])
async def test_absent_secret_is_an_outage_and_nobody_is_asked(make: MakeSetup, kind: str) -> None:
    setup = make(kind, secret=None)
    assert await setup.verify() == Unavailable(Reason.CREDENTIALS_UNAVAILABLE)
    assert setup.oracle.asked == []


async def test_credentials_go_into_the_body_where_the_policy_says_so(make: MakeSetup) -> None:
    setup = make("Introspection", auth_method="client_secret_post")
    assert isinstance(await setup.verify(), Valid)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param({"aud": "https://other.example.com"}, Reason.WRONG_AUDIENCE, id="for another server"),
        pytest.param({"aud": None}, Reason.WRONG_AUDIENCE, id="for nobody"),
        pytest.param({"aud": {"a": RESOURCE_URL}}, Reason.WRONG_AUDIENCE, id="odd audience"),
        pytest.param({"iss": "https://evil.example.com"}, Reason.WRONG_ISSUER, id="of another issuer"),
        pytest.param({"iss": 7}, Reason.WRONG_ISSUER, id="odd issuer"),
        pytest.param({"exp": int(NOW) - 31}, Reason.EXPIRED, id="expired"),
        pytest.param({"exp": "soon"}, Reason.BAD_CLAIMS, id="odd exp"),
        pytest.param({"exp": True}, Reason.BAD_CLAIMS, id="exp true"),
        pytest.param({"nbf": int(NOW) + 31}, Reason.NOT_YET_VALID, id="of tomorrow"),
        pytest.param({"sub": 7}, Reason.BAD_CLAIMS, id="odd sub"),
        pytest.param({"typ": "Refresh"}, Reason.ID_TOKEN, id="a refresh token"),
        pytest.param({"token_type": "refresh_token"}, Reason.ID_TOKEN, id="a refresh token, too"),
        pytest.param({"token_use": "refresh_token"}, Reason.ID_TOKEN, id="a refresh token of Hydra"),
        pytest.param({"token_use": "id_token"}, Reason.ID_TOKEN, id="an ID token"),
        pytest.param({"active": False}, Reason.INACTIVE, id="inactive"),
    ],
)
async def test_introspected_token_that_is_not_for_us_now_is_refused(
    make: MakeSetup, said: dict[str, Any], reason: Reason
) -> None:
    assert await make("Introspection", said=said).refused() is reason


@pytest.mark.parametrize("active", ["true", 1, None])
async def test_active_must_be_a_boolean(make: MakeSetup, active: object) -> None:
    assert isinstance(await make("Introspection", said={"active": active}).verify(), Unavailable)


async def test_introspected_token_of_our_own_client_needs_no_audience(make: MakeSetup) -> None:
    setup = make("Introspection", said={"aud": "account", "client_id": OUR_ID, "iss": None})
    claims = await setup.claims()
    assert claims["scope"] == "a b"
    assert "active" not in claims


async def test_audience_is_not_looked_at_when_the_policy_waives_it(make: MakeSetup) -> None:
    parts = {"verification": {"audience_required": False, "audiences": ()}}
    assert isinstance(await make("Introspection", said={"aud": "x"}, parts=parts).verify(), Valid)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        pytest.param({"aud": "theirs"}, Reason.WRONG_AUDIENCE, id="another client's"),
        pytest.param({"aud": "theirs", "azp": OUR_ID}, Reason.WRONG_AUDIENCE, id="made by us for another"),
        pytest.param({"aud": None, "azp": "theirs"}, Reason.WRONG_AUDIENCE, id="by another client"),
        pytest.param({"aud": None, "azp": None}, Reason.WRONG_AUDIENCE, id="nobody's"),
        pytest.param({"exp": str(int(NOW) - 31)}, Reason.EXPIRED, id="expired"),
    ],
)
async def test_google_token_of_another_client_is_refused(make: MakeSetup, said: dict[str, Any], reason: Reason) -> None:
    assert await make("Tokeninfo", said=said).refused() is reason


async def test_google_strings_become_numbers_and_booleans(make: MakeSetup) -> None:
    claims = await make("Tokeninfo").claims()
    assert (claims["exp"], claims["email_verified"], claims["sub"]) == (NOW + 600, True, "alice")
    without = await make("Tokeninfo", said={"exp": None, "expires_in": 30}).claims()
    assert without["exp"] == NOW + 30


async def test_google_token_without_an_end_is_an_outage(make: MakeSetup) -> None:
    assert isinstance(await make("Tokeninfo", said={"exp": None, "expires_in": None}).verify(), Unavailable)


async def test_token_is_never_part_of_a_url(make: MakeSetup) -> None:
    for kind in KINDS:
        await make(kind).verify()
    assert all("?" not in path for _, path, _ in make(KINDS[0]).oracle.asked)


@pytest.mark.parametrize("client_id", ["theirs", None])
async def test_github_token_of_another_application_is_refused(make: MakeSetup, client_id: str | None) -> None:
    assert await make("AppToken", said={"app": {"client_id": client_id}}).refused() is Reason.WRONG_AUDIENCE


async def test_github_says_who_the_user_is_by_a_number_that_stays(make: MakeSetup) -> None:
    claims = await make("AppToken", said={"expires_at": "2027-01-15T08:10:00Z"}).claims()
    assert claims == {
        "sub": "583231",
        "id": 583231,
        "login": "alice",
        "avatar_url": "https://avatars.example.com/1",
        "site_admin": False,
        "client_id": OUR_ID,
        "scope": "read:user user:email",
        "exp": NOW + 600,
    }


async def test_github_token_that_ended_is_refused(make: MakeSetup) -> None:
    assert await make("AppToken", said={"expires_at": "2020-01-01T00:00:00Z"}).refused() is Reason.EXPIRED


async def test_github_calls_a_spoilt_token_unprocessable(make: MakeSetup) -> None:
    setup = make("AppToken")
    setup.oracle.replies[setup.path] = (422, "application/json", b'{"message": "Validation Failed"}')
    assert await setup.refused() is Reason.INACTIVE


@pytest.mark.parametrize("sub", [None, "", 7])
async def test_userinfo_without_a_subject_says_nothing(make: MakeSetup, sub: object) -> None:
    assert isinstance(await make("Userinfo", said={"sub": sub}).verify(), Unavailable)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [(400, "invalid_token", Invalid), (403, "insufficient_scope", Invalid), (400, "invalid_request", Unavailable)],
)
async def test_userinfo_refuses_by_the_error_codes_of_bearer_tokens(
    make: MakeSetup, status: int, error: str, kind: type[Invalid] | type[Unavailable]
) -> None:
    setup = make("Userinfo")
    setup.oracle.replies[setup.path] = (status, "application/json", json.dumps({"error": error}).encode())
    assert isinstance(await setup.verify(), kind)


async def test_answer_is_trusted_for_the_time_of_the_policy_and_never_beyond_exp(make: MakeSetup) -> None:
    setup = make("Introspection", cache_s=60)
    await setup.verify()
    await setup.verify(now=NOW + 59)
    assert len(setup.oracle.asked) == 1
    await setup.verify(now=NOW + 60)
    assert len(setup.oracle.asked) == 2
    short = make("Introspection", said={"exp": int(NOW) + 5})
    result = await short.verify()
    assert isinstance(result, Valid)
    assert result.principal.expires_at == NOW + 5


async def test_revoked_token_ends_when_the_answer_does(make: MakeSetup) -> None:
    setup = make("Introspection", cache_s=1)
    assert isinstance(await setup.verify(), Valid)
    setup.oracle.known.clear()
    assert await setup.verify(now=NOW + 1) == Invalid(Reason.INACTIVE)


async def test_many_at_once_ask_once_and_one_who_leaves_takes_nothing_along(make: MakeSetup) -> None:
    setup = make("Introspection")
    go_on = Event()

    def wait(_: str) -> None:
        go_on.wait(5)

    setup.oracle.on_request = wait
    waiting = [asyncio.create_task(setup.verify()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    go_on.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(result, Valid) for result in results[1:])
    assert len(setup.oracle.asked) == 1


async def test_flood_of_tokens_is_turned_away_before_it_reaches_the_identity_provider(make: MakeSetup) -> None:
    setup = make("Introspection")
    setup.oracle.behaviours[setup.path] = Behaviour.HANG
    flood = [asyncio.create_task(setup.verify(b"t%d" % number)) for number in range(MAX_FLIGHTS + 50)]
    done, pending = await asyncio.wait(flood, timeout=0.2, return_when=asyncio.ALL_COMPLETED)
    assert len(done) == 50
    assert {task.result() for task in done} == {Unavailable(Reason.VERIFICATION_UNAVAILABLE)}
    await setup.source.aclose()
    await asyncio.gather(*pending, return_exceptions=True)


async def test_flood_of_tokens_leaves_room_for_logins_and_keys(make: MakeSetup) -> None:
    setup = make("Introspection", total_s=30)
    setup.oracle.behaviours[setup.path] = Behaviour.HANG
    flood = [asyncio.create_task(setup.verify(b"t%d" % number)) for number in range(MAX_FLIGHTS)]
    # So that each of them asks, or waits for its turn.
    await asyncio.wait(flood, timeout=0.1)
    async with asyncio.timeout(TOTAL_S - 1):
        assert (await setup.client.get(setup.oracle.metadata_urls[0])).body
    assert not any(task.done() for task in flood)
    await setup.source.aclose()
    await asyncio.gather(*flood, return_exceptions=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("token", ["é".encode(), b"a\r\nx-a: b", b"a b", b"\x00", b""])
async def test_text_that_is_no_token_is_refused_without_asking(make: MakeSetup, kind: str, token: bytes) -> None:
    setup = make(kind)
    assert await setup.verify(token) == Invalid(Reason.MALFORMED_TOKEN)
    assert setup.oracle.asked == []


async def test_overlong_token_is_refused_without_asking(make: MakeSetup) -> None:
    setup = make("Introspection")
    assert await setup.verify(b"x" * 20_000) == Invalid(Reason.MALFORMED_TOKEN)
    assert setup.oracle.asked == []


async def test_place_to_ask_is_found_in_the_metadata(make: MakeSetup) -> None:
    setup = make("Introspection", url=None)
    setup.oracle.metadata = {"introspection_endpoint": setup.oracle.origin + INTROSPECTION_PATH}
    assert setup.source.unready_reason() is not None
    assert isinstance(await setup.verify(), Valid)
    assert setup.source.unready_reason() is None


async def test_no_place_to_ask_is_an_outage(make: MakeSetup) -> None:
    assert isinstance(await make("Introspection", url=None).verify(), Unavailable)
    assert isinstance(await make("Tokeninfo", url=None).verify(), Unavailable)


async def test_metadata_outage_is_an_outage(make: MakeSetup) -> None:
    setup = make("Userinfo", url=None)
    setup.oracle.behaviours = dict.fromkeys((METADATA_PATH, OPENID_PATH), Behaviour.ERROR)
    assert await setup.verify() == Unavailable(Reason.VERIFICATION_UNAVAILABLE)
    assert setup.source.unready_reason() is None, "an outage must not keep a pod from becoming ready"


async def test_absent_ca_is_an_outage_of_its_own(make: MakeSetup) -> None:
    setup = make("Userinfo", parts={"issuer": {"private_ca": True}})
    assert await setup.verify() == Unavailable(Reason.CA_UNAVAILABLE)
    assert setup.oracle.asked == []
