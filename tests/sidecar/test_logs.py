"""The lines the sidecar writes."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postern_sidecar.logs import AUDIT_LOGGER, LogLevel, configure, get_logger

LOGGERS = ("", "postern", "postern_sidecar", AUDIT_LOGGER, "uvicorn.error")


@pytest.fixture
def written() -> Iterator[tuple[io.StringIO, LogLevel]]:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, levels = root.handlers[:], [logging.getLogger(name).level for name in LOGGERS]
    yield stream, configure(stream)
    root.handlers[:] = handlers
    for name, level in zip(LOGGERS, levels, strict=True):
        logging.getLogger(name).setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_event_is_one_line_of_json_with_time_level_and_logger(written: tuple[io.StringIO, LogLevel]) -> None:
    get_logger("postern.x").warning("it happened", reason="two\nlines", count=2, nothing=None, names=("a", "b"))
    (event,) = lines(written[0])
    assert event["time"].endswith("Z")
    assert (event["event"], event["level"], event["logger"]) == ("it happened", "warning", "postern.x")
    assert (event["reason"], event["count"], event["nothing"], event["names"]) == ("two\nlines", 2, None, ["a", "b"])


@pytest.mark.parametrize("name", ["logger", "level", "time"])
def test_fact_cannot_pose_as_what_the_line_says_of_itself(written: tuple[io.StringIO, LogLevel], name: str) -> None:
    get_logger("postern.x").info("it happened", **{name: "forged"})
    assert "forged" not in written[0].getvalue()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('"}\n{"event": "forged"}', id="line-feed"),
        pytest.param("a\r\nb\x0bc\x0cd\x1ce\x1df\x1eg", id="other-ends-of-lines"),
        pytest.param("a\x85b\u2028c\u2029d", id="ends-of-lines-beyond-ascii"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param("\x00\x1b[31m", id="controls"),
    ],
)
def test_text_stays_in_its_line(written: tuple[io.StringIO, LogLevel], text: str) -> None:
    get_logger("postern.x").info("it happened", text=text)
    (event,) = lines(written[0])
    assert (event["event"], event["text"]) == ("it happened", text)
    assert written[0].getvalue().isascii()


def test_fact_of_any_kind_is_written_somehow(written: tuple[io.StringIO, LogLevel]) -> None:
    class Thing:
        def __repr__(self) -> str:
            return "a thing"

    get_logger("postern.x").info("it happened", thing=Thing(), number=2**70)
    (event,) = lines(written[0])
    assert (event["thing"], event["number"]) == ("a thing", 2**70)


@given(facts=st.dictionaries(st.text(st.characters(codec="ascii", categories=["L"]), min_size=1), st.text()))
def test_facts_are_read_back_as_they_were(facts: dict[str, str]) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("postern.property")
    before = logging.getLogger().handlers[:]
    configure(stream)
    try:
        get_logger(logger.name).error("it happened", **{f"x_{name}": value for name, value in facts.items()})
    finally:
        logging.getLogger().handlers[:] = before
    (event,) = lines(stream)
    assert {name: event[f"x_{name}"] for name in facts} == facts


def test_level_follows_the_policy_but_decisions_are_always_written(written: tuple[io.StringIO, LogLevel]) -> None:
    stream, level = written
    log = get_logger("postern.x")
    log.debug("hidden")
    level.set("error")
    log.warning("hidden")
    get_logger("postern_sidecar.app").warning("hidden")
    get_logger(AUDIT_LOGGER).info("decision")
    log.error("shown")
    level.set("debug")
    log.debug("shown too")
    assert [line["event"] for line in lines(stream)] == ["decision", "shown", "shown too"]


@pytest.mark.parametrize("name", ["__main__", "posterns", "uvicorn", ""])
def test_logger_that_the_level_would_not_reach_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="level does not reach"):
        get_logger(name)


def test_lines_of_libraries_and_tracebacks_keep_the_form(written: tuple[io.StringIO, LogLevel]) -> None:
    stream, level = written
    level.set("debug")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    logging.getLogger("httpx").info("hidden")
    try:
        int("a bug")
    except ValueError:
        get_logger("postern.x").exception("failed", path="/mcp")
    level.set("error")
    logging.getLogger("asyncio").warning("hidden")
    first, second = lines(stream)
    assert (first["event"], first["logger"], first["level"]) == ("library", "asyncio", "warning")
    assert first["message"] == "slow callback"
    assert "ValueError: " in second["exception"]
    assert (second["level"], second["path"]) == ("error", "/mcp")


def test_stream_that_is_gone_does_not_fail_who_logs(
    written: tuple[io.StringIO, LogLevel], capsys: pytest.CaptureFixture[str]
) -> None:
    written[0].close()
    get_logger("postern.x").info("it happened")
    assert "closed file" in capsys.readouterr().err
