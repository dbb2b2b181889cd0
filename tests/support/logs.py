"""What the sidecar's modules log while a test runs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from postern_sidecar.logs import Event

__all__ = ["EventDict", "capture_logs"]

EventDict = dict[str, Any]


class _Collector(logging.Handler):
    def __init__(self, lines: list[EventDict]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record, Event):
            self.lines.append({**record.facts, "event": record.msg, "log_level": record.levelname.lower()})


@contextmanager
def capture_logs() -> Iterator[list[EventDict]]:
    """Collects events of whatever level: their facts, with event and log_level."""
    lines: list[EventDict] = []
    handler = _Collector(lines)
    loggers = [logging.getLogger(name) for name in ("postern", "postern_sidecar")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
