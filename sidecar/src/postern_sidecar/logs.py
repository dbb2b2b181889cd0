"""How the sidecar writes: this module turns structlog into JSON lines, one an event.

Whoever logs passes facts as keywords and a constant message; tokens, codes and claims never reach this module.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog

__all__ = ["AUDIT_LOGGER", "LogLevel", "configure"]

Level = Literal["debug", "info", "warning", "error"]

AUDIT_LOGGER = "postern.audit"
"""Decisions are written whatever the level is; the policy has a switch of its own for them (log.audit)."""
_SEVERITY: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_SEVERITY_OF_METHOD = {**_SEVERITY, "warn": 30, "exception": 40, "fatal": 50, "msg": 20}


class LogLevel:
    """The level in force; the policy changes it while the process runs."""

    def __init__(self) -> None:
        self._threshold = _SEVERITY["info"]

    def set(self, level: Level) -> None:
        """Write from this level on."""
        self._threshold = _SEVERITY[level]

    def __call__(self, logger: "_Line", method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Drop what is below the level; a structlog processor."""
        if logger.name != AUDIT_LOGGER and _SEVERITY_OF_METHOD[method] < self._threshold:
            raise structlog.DropEvent
        event["logger"] = logger.name
        return event


class _Line:
    """Writes finished lines to a stream."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line at once."""
        self._stream.write(line + "\n")
        self._stream.flush()

    debug = info = warning = warn = error = exception = critical = fatal = msg


class _FromLibraries(logging.Handler):
    """Brings what libraries log into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        method = next((name for name, value in _SEVERITY.items() if record.levelno <= value), "critical")
        structlog.get_logger(record.name).log(
            _SEVERITY[method], "library", message=record.getMessage(), exc_info=record.exc_info
        )


def configure(stream: TextIO) -> LogLevel:
    """Set up logging for the process; called once, by the composition root."""
    level = LogLevel()
    structlog.configure(
        processors=[
            level,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *names: _Line(stream, str(names[0]) if names else "postern"),
    )
    logging.basicConfig(handlers=[_FromLibraries()], level=logging.WARNING, force=True)
    # The ASGI server reports a response that was cut on purpose as a failure of the application.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return level
