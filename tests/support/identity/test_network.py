from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.support.ca import PrivateCA
from tests.support.identity.browser import ScriptedBrowser
from tests.support.identity.conftest import RESOURCE
from tests.support.identity.network import Exchange, Network
from tests.support.identity.provider import IdentityProvider, ProviderOptions, running_provider
from tests.support.identity.tokens import obtain_token

NAME = "idp.postern-demo.svc"
ISSUER = f"https://{NAME}:8443"


@dataclass(frozen=True, slots=True)
class Private:
    provider: IdentityProvider
    ca_file: Path

    @property
    def addresses(self) -> dict[str, tuple[str, int]]:
        return {f"{NAME}:8443": ("127.0.0.1", self.provider.port)}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    folder = tmp_path_factory.mktemp("tls")
    authority = PrivateCA()
    certificate, key = authority.leaf(NAME, "10.0.0.1").write(folder)
    ca_file = folder / "ca.crt"
    ca_file.write_bytes(authority.certificate)
    options = ProviderOptions(resources=(RESOURCE,), issuer=ISSUER, certificate=certificate, key=key)
    with running_provider(options) as provider:
        yield Private(provider, ca_file)


async def test_mapped_name_with_its_private_authority_allows_a_whole_login(private: Private) -> None:
    seen: list[Exchange] = []
    network = Network(private.addresses, private.ca_file)

    token = await obtain_token(
        ISSUER, RESOURCE, scope="weather:read", browser=ScriptedBrowser(network=network, on_exchange=seen.append)
    )

    assert token
    assert seen
    assert all(exchange.url.startswith(f"{ISSUER}/") for exchange in seen)


async def test_private_authority_is_not_trusted_by_itself(private: Private) -> None:
    async with Network(private.addresses).client() as http:
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get(f"{ISSUER}/health")


async def test_name_that_the_certificate_lacks_is_refused(private: Private) -> None:
    addresses = {"other.postern-demo.svc:8443": ("127.0.0.1", private.provider.port)}
    async with Network(addresses, private.ca_file).client() as http:
        with pytest.raises(httpx2.ConnectError, match="not valid for"):
            await http.get("https://other.postern-demo.svc:8443/health")


def test_line_of_an_exchange_shows_the_challenge_and_no_query() -> None:
    exchange = Exchange("GET", "https://a.example/x", 401, ("code",), has_token=True, challenge='Bearer scope="a"')

    assert exchange.line() == 'GET https://a.example/x with a token -> 401  WWW-Authenticate: Bearer scope="a"'


async def test_trace_keeps_the_names_of_parameters_and_none_of_their_values(provider: IdentityProvider) -> None:
    seen: list[Exchange] = []
    async with Network().client(on_exchange=seen.append) as http:
        await http.get(f"{provider.issuer}/health", params={"code": "secret-code"})

    assert seen[0].parameters == ("code",)
    assert "secret-code" not in repr(seen)
