"""One vendor after another, and a key that all of them sign with."""

from collections.abc import Iterator

import pytest

from tests.support.tokens import SigningPair, make_pair
from tests.support.vendors.grants import AuthorizationServer
from tests.vendors.cases import CASES, Case


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def pair() -> SigningPair:
    return make_pair("vendor-1")


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def vendor(case: Case, pair: SigningPair) -> Iterator[AuthorizationServer]:
    with case.make(pair) as running:
        yield running
