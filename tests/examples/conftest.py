import importlib
import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from examples.demo.narrator import Narrator
from tests.support.identity.programs import Program


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Laptop:
    """Everything that ``make try`` starts, running."""

    story: Any
    places: Any
    sidecar: Program
    told: io.StringIO
    """What the story has told so far."""

    @property
    def narrator(self) -> Narrator:
        return Narrator(self.told)


@pytest.fixture(scope="session")
def try_module() -> Any:
    # "try" is a keyword: no import statement can name the folder.
    return importlib.import_module("examples.try.__main__")


@pytest.fixture(scope="session")
def laptop(try_module: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    told = io.StringIO()
    narrator = Narrator(told)
    with ExitStack() as stack:
        places = try_module.choose_places(tmp_path_factory.mktemp("try"))
        try_module.start_server(stack, places, narrator)
        try_module.start_provider(stack, places, narrator)
        configuration = try_module.render(places, narrator)
        sidecar = try_module.start_sidecar(stack, places, configuration, narrator)
        yield Laptop(try_module, places, sidecar, told)
