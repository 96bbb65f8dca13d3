"""One set-up of structlog over the standard library's logging, for every service.

Levels: ``error`` asks a human to act, ``warning`` says that something was refused or is tried
again, ``info`` is a line per status change, ``debug`` one per message.
"""

import logging.config
import sys
from typing import Any, Literal

import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["json", "console", "auto"]
LogLevel = Literal["debug", "info", "warning", "error"]

bind = bound_contextvars
"""``with bind(job=uuid, peer=hotkey):`` adds the fields to every line logged inside."""

NOISY = ("daphne", "django.channels", "asyncio", "websockets", "httpx", "httpcore", "docker")


def set_up(log_format: LogFormat = "auto", level: LogLevel = "info") -> None:
    """Configures both structlog and the standard library."""
    logging.config.dictConfig(stdlib_config(log_format, level))


def stdlib_config(log_format: LogFormat, level: LogLevel) -> dict[str, Any]:
    """The dictionary for `logging.config`; configures structlog on the way.

    ``auto`` is coloured text on a terminal and JSON anywhere else.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _shared_processors(),
                "processors": _final_processors(log_format),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {name: {"level": "WARNING"} for name in NOISY},
    }


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _final_processors(log_format: LogFormat) -> list[Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()):
        render: Processor = structlog.processors.JSONRenderer(default=str)
        return [remove_meta, structlog.processors.format_exc_info, _one_line_event, render]
    return [remove_meta, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _one_line_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Libraries log objects; JSON wants the words first."""
    return {"event": str(event.pop("event", "")), **event}
