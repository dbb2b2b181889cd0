import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from postern_operator.logs import configure_logs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_own_and_foreign_lines_are_json_objects() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    structlog.stdlib.get_logger("postern.test").info("happened", policy="team-a/weather")
    logging.getLogger("somebody").warning("said %s", "this")
    own, foreign = lines(stream)
    assert (own["event"], own["policy"], own["level"], own["logger"]) == (
        "happened",
        "team-a/weather",
        "info",
        "postern.test",
    )
    assert (foreign["event"], foreign["level"]) == ("said this", "warning")


def test_libraries_are_quiet_below_warning() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    for name in ("kopf.objects", "uvicorn.error", "aiohttp.access"):
        logging.getLogger(name).info("chatter")
    assert lines(stream) == []


def test_exception_is_one_line() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    try:
        int("broken")
    except ValueError:
        structlog.stdlib.get_logger("postern.test").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: invalid literal" in str(line["exception"])
