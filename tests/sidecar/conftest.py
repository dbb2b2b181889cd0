"""What the sidecar's tests share."""

from collections.abc import Iterator

import pytest

from tests.support.fake_issuer import FakeIssuer
from tests.support.tokens import SigningPair, make_pair


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def rsa_pair() -> SigningPair:
    return make_pair("rsa-1", "RS256")


@pytest.fixture(scope="session")
def other_rsa_pair() -> SigningPair:
    return make_pair("rsa-2", "RS256")


@pytest.fixture
def fake_issuer(rsa_pair: SigningPair) -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        issuer.keys = [rsa_pair.jwk()]
        yield issuer
