"""How the sidecar writes: this module makes JSON lines, one an event.

Whoever logs passes facts as keywords and a constant message; tokens, codes and claims never reach this module. Names
and levels are those of the standard library's logging, so that lines of libraries come out in the same form.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

__all__ = ["AUDIT_LOGGER", "Event", "LogLevel", "Logger", "configure", "get_logger"]

Level = Literal["debug", "info", "warning", "error"]

AUDIT_LOGGER = "postern.audit"
"""Decisions are written whatever the level is; the policy has a switch of its own for them (log.audit)."""
_OWN = ("postern", "postern_sidecar")
"""Above all our loggers: these have the policy's level."""
_SEVERITY: Mapping[Level, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class Event(logging.LogRecord):
    """Something that happened, with its facts."""

    def __init__(self, logger: str, severity: int, event: str, facts: Mapping[str, object], error: Any) -> None:
        """Take the exception as sys.exc_info() gives it; None: there is none."""
        super().__init__(logger, severity, "", 0, event, None, error)
        self.facts = facts


class Logger:
    """Writes events under one name."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **facts: object) -> None:
        """Write what helps to find a fault."""
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: object) -> None:
        """Write what happened."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Write what somebody should look at."""
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        """Write what somebody must cure."""
        self._write(logging.ERROR, event, facts)

    def exception(self, event: str, **facts: object) -> None:
        """Write an error with the traceback of the exception that is being handled."""
        self._write(logging.ERROR, event, facts, sys.exc_info())

    def _write(self, severity: int, event: str, facts: Mapping[str, object], error: Any = None) -> None:
        if self._logger.isEnabledFor(severity):
            self._logger.handle(Event(self._logger.name, severity, event, facts, error))


def get_logger(name: str) -> Logger:
    """Give a logger; the name is that of a module of ours, or begins with ``postern.``. Raises ValueError otherwise."""
    if name.partition(".")[0] not in _OWN:
        raise ValueError(f"the policy's level does not reach a logger of the name {name}")
    return Logger(name)


class LogLevel:
    """The level in force; the policy changes it while the process runs."""

    def set(self, level: Level) -> None:
        """Write from this level on; of libraries at least warnings are needed to be worth a line."""
        severity = _SEVERITY[level]
        for name in _OWN:
            logging.getLogger(name).setLevel(severity)
        logging.getLogger().setLevel(max(severity, logging.WARNING))


class _Lines(logging.Handler):
    """Writes records to a stream."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line at once; a stream that is gone must not fail who logs."""
        try:
            self._stream.write(_text(_line(record)) + "\n")
            self._stream.flush()
        except Exception:  # noqa: BLE001 - as in each handler of the standard library: it tells stderr
            self.handleError(record)


def _line(record: logging.LogRecord) -> dict[str, object]:
    if isinstance(record, Event):
        line = {**record.facts, "event": record.msg}
    else:
        line = {"message": record.getMessage(), "event": "library"}
    if record.exc_info is not None:
        line["exception"] = logging.Formatter().formatException(record.exc_info)
    time = f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return {**line, "level": record.levelname.lower(), "logger": record.name, "time": time}


def _text(line: Mapping[str, object]) -> str:
    try:
        text = msgspec.json.encode(line, enc_hook=repr)
        if text.isascii():
            return text.decode("ascii")
    except (ValueError, OverflowError):
        pass  # a lone surrogate, or a number beyond 64 bits
    # Slower, but it escapes everything that some reader may take for the end of a line.
    return json.dumps(line, default=repr)


def configure(stream: TextIO) -> LogLevel:
    """Set up logging for the process; called once, by the composition root."""
    level = LogLevel()
    level.set("info")
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    # The ASGI server reports a response that was cut on purpose as a failure of the application.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    logging.basicConfig(handlers=[_Lines(stream)], level=logging.WARNING, force=True)
    return level
