"""These tests run on the event loop of the real process."""

import pytest


@pytest.fixture(scope="package")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
