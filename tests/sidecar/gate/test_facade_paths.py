"""Requests for the authorization server of mode Proxy: which go there, and which are nobody's."""

import msgspec
import pytest

from postern_crds.sidecar_config import ProxyConfig
from postern_sidecar.facade_endpoints import FacadeEndpoint
from postern_sidecar.gate.facade_paths import FacadePaths
from postern_sidecar.outcome import Reason
from tests.sidecar.gate.conftest import MakeDoor
from tests.sidecar.gate.door import HOST, Door, config_for, values
from tests.support.fake_issuer import FakeIssuer
from tests.support.policies import PROXY
from tests.support.policies import make_proxy_config as make_proxy
from tests.support.samples import sample
from tests.support.tokens import SigningPair

PREFIXED = msgspec.structs.replace(
    PROXY, issuer="https://mcp.example.com/weather", callback_path="/weather/oauth/callback"
)
NAMES = ("authorize", "consent", "token", "register", "revoke")


def door_of(fake: FakeIssuer, pair: SigningPair, proxy: ProxyConfig = PROXY) -> Door:
    issuer = {"issuer": fake.issuer, "metadata_urls": fake.metadata_urls}
    return Door(fake, pair, make_proxy(proxy, issuer=issuer, server={"public_paths": ("/*",)}))


@pytest.mark.parametrize("proxy", [PROXY, PREFIXED], ids=["root", "prefix"])
@pytest.mark.parametrize("name", NAMES)
def test_each_endpoint_has_exactly_one_path(proxy: ProxyConfig, name: str) -> None:
    paths = FacadePaths(proxy)
    prefix = proxy.issuer.removeprefix("https://mcp.example.com")
    assert paths.find(f"{prefix}/{name}".encode()) == FacadeEndpoint(name)
    assert paths.find(proxy.callback_path.encode()) is FacadeEndpoint.CALLBACK
    assert paths.find(f"{prefix}/callback".encode()) is None


@pytest.mark.parametrize(
    "path", [b"/token/", b"/Token", b"/TOKEN/", b"/%74oken", b"/oauth/callback/", b"/OAuth/Callback", b"/%54oken/"]
)
def test_another_spelling_of_an_endpoint_is_nobodys(path: bytes) -> None:
    assert FacadePaths(PROXY).find(path) is Reason.NOT_FOUND


@pytest.mark.parametrize("path", [b"/", b"/tokens", b"/token/x", b"/weather/token", b"/oauth", b"/mcp"])
def test_other_paths_are_not_ours(path: bytes) -> None:
    assert FacadePaths(PROXY).find(path) is None


@pytest.mark.parametrize("name", NAMES)
def test_mode_direct_has_no_endpoints(name: str) -> None:
    assert FacadePaths(None).find(f"/{name}".encode()) is None


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT", "TRACE"])
async def test_endpoints_answer_every_method_without_a_token_and_to_any_origin(
    fake_issuer: FakeIssuer, rsa_pair: SigningPair, method: str
) -> None:
    door = door_of(fake_issuer, rsa_pair)
    call = await door.call(method, "/token", ("origin", "https://any.example.org"), HOST)
    assert call.endpoint is FacadeEndpoint.TOKEN


async def test_other_spelling_is_not_forwarded_even_where_all_is_public(
    fake_issuer: FakeIssuer, rsa_pair: SigningPair
) -> None:
    door = door_of(fake_issuer, rsa_pair)
    assert (await door.answer("GET", "/Token")).status == 404
    assert (await door.forward("GET", "/tokens")).target == b"/tokens"


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        pytest.param("/token", "evil.example.org", 421, id="rebound name"),
        pytest.param("/x/../token", "mcp.example.com", 400, id="dot segments"),
        pytest.param("//token", "mcp.example.com", 400, id="empty segment"),
        pytest.param("/token%2f", "mcp.example.com", 400, id="hidden slash"),
    ],
)
async def test_host_and_path_are_checked_first(
    fake_issuer: FakeIssuer, rsa_pair: SigningPair, path: str, host: str, status: int
) -> None:
    door = door_of(fake_issuer, rsa_pair)
    assert (await door.answer("POST", path, ("host", host))).status == status


async def test_calls_are_counted_as_such(fake_issuer: FakeIssuer, rsa_pair: SigningPair) -> None:
    door = door_of(fake_issuer, rsa_pair)
    await door.call("GET", "/authorize")
    assert sample(door.metrics.registry, "postern_decisions_total", outcome="facade", reason="none") == 1


async def test_mode_direct_forwards_such_paths_like_any_other(make_door: MakeDoor) -> None:
    door = make_door()
    assert (await door.answer("POST", "/token")).status == 401
    assert (await door.forward("POST", "/token", door.bearer())).target == b"/token"


async def test_passthrough_takes_the_tokens_of_the_identity_provider(
    fake_issuer: FakeIssuer, rsa_pair: SigningPair
) -> None:
    proxy = msgspec.structs.replace(PROXY, token_mode="Passthrough")
    issuer = {"issuer": fake_issuer.issuer, "metadata_urls": fake_issuer.metadata_urls}
    config = make_proxy(proxy, issuer=issuer, forward={"access_token": "Upstream"})
    door = Door(fake_issuer, rsa_pair, config)
    forward = await door.forward("POST", "/mcp", door.bearer())
    assert forward.principal is not None
    assert forward.principal.authorization == f"Bearer {door.token()}".encode()
    await door.gate.aclose()


@pytest.mark.parametrize(("access_token", "is_sent"), [("Strip", False), ("AsReceived", True)])
async def test_mode_direct_passes_the_received_token_on_only_when_told(
    fake_issuer: FakeIssuer, rsa_pair: SigningPair, access_token: str, is_sent: bool
) -> None:
    door = Door(fake_issuer, rsa_pair, config_for(fake_issuer, forward={"access_token": access_token}))
    forward = await door.forward("POST", "/mcp", door.bearer())
    assert forward.principal is not None
    assert (forward.principal.authorization == f"Bearer {door.token()}".encode()) is is_sent
    assert not values(forward, "authorization")
    await door.gate.aclose()
