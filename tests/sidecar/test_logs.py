"""The lines the sidecar writes."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from postern_sidecar.logs import AUDIT_LOGGER, LogLevel, configure


@pytest.fixture
def written() -> Iterator[tuple[io.StringIO, LogLevel]]:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    uvicorn_level = logging.getLogger("uvicorn.error").level
    yield stream, configure(stream)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.error").setLevel(uvicorn_level)


def test_each_event_is_one_line_of_json_with_time_level_and_logger(written: tuple[io.StringIO, LogLevel]) -> None:
    structlog.get_logger("postern.x").warning("it happened", reason="two\nlines")
    (line,) = written[0].getvalue().splitlines()
    event = json.loads(line)
    assert event["time"].endswith("Z")
    assert (event["event"], event["level"], event["logger"], event["reason"]) == (
        "it happened",
        "warning",
        "postern.x",
        "two\nlines",
    )


def test_level_follows_the_policy_but_decisions_are_always_written(written: tuple[io.StringIO, LogLevel]) -> None:
    stream, level = written
    log = structlog.get_logger("postern.x")
    log.debug("hidden")
    level.set("error")
    log.warning("hidden")
    structlog.get_logger(AUDIT_LOGGER).info("decision")
    log.error("shown")
    level.set("debug")
    log.debug("shown too")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["decision", "shown", "shown too"]


def test_lines_of_libraries_and_tracebacks_keep_the_form(written: tuple[io.StringIO, LogLevel]) -> None:
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("httpx").info("hidden")
    try:
        int("a bug")
    except ValueError:
        structlog.get_logger("postern.x").exception("failed")
    first, second = (json.loads(line) for line in written[0].getvalue().splitlines())
    assert (first["logger"], first["message"], first["level"]) == ("asyncio", "slow callback", "warning")
    assert "ValueError: " in second["exception"]
