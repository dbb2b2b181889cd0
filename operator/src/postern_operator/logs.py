"""How the operator logs: this module is the one place where JSON lines on standard output are set up."""

import logging
import sys
from typing import TextIO

import structlog

__all__ = ["configure_logs"]

# Chatty below WARNING, and nothing of it is ours to act on.
_QUIET = ("kopf", "uvicorn", "aiohttp", "asyncio", "client")


def configure_logs(level: str, stream: TextIO = sys.stdout) -> None:
    """Send structlog and the standard library's loggers to the stream, one JSON object a line.

    ``level`` is a name as in POSTERN_LOG_LEVEL; libraries are held at WARNING unless it is debug.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
        library.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    # Warns that it leaves signals alone, which is what it is run in its own thread for.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
