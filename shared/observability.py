"""Structured logs (JSON lines, English) without personal data, and what a running service says of its health.

Personal data does not belong into a log call; should a number slip into one all the same, it is cut out here.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from shared import telemetry

# ASCII borders: between Chinese characters a number is one all the same, within an id or a hash it is not.
NUMBERS = re.compile(
    r"(?<![0-9A-Za-z_-])(?:\d{17}[\dXx](?:\d\d(?:[0-9Bb]{2})?)?|(?:\+?(?:00)?86)?1[3-9]\d{9}|\d{16,19})(?![0-9A-Za-z_-])"
)
"""What is shaped like an ID number, a mobile number or a bank card."""


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return NUMBERS.sub("[number]", value)
    if isinstance(value, int) and NUMBERS.fullmatch(str(value)):
        return "[number]"
    if isinstance(value, dict):
        return {key: _cut(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(inner) for inner in value]
    return value


def without_numbers(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cuts anything shaped like an ID number, a mobile number or a bank card out of a log entry."""
    return {key: _cut(value) for key, value in entry.items()}


def with_trace(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Names the trace and the span at work, so that a line is found from a trace and a trace from a line."""
    if (at := telemetry.ids()) is not None:
        entry["trace_id"], entry["span_id"] = at
    return entry


class Foreign(logging.Handler):
    """What libraries log, as lines of the same kind. Of an exception the type is named: its text may quote a person's data.

    So may what follows the first line: asyncio writes there which task it was, with the exception in it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = {"error": record.exc_info[0].__name__} if record.exc_info and record.exc_info[0] else {}
        said = record.getMessage().partition("\n")[0]
        structlog.get_logger(library=record.name).log(record.levelno, "library", said=said, **error)


def configure_logs(level: str = "INFO") -> None:
    """JSON lines on standard error; standard output stays for the answers of commands. Libraries are heard from WARNING on."""
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        with_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_numbers,
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[Foreign()], level=logging.WARNING, force=True)


def log(service: str) -> Any:
    """A logger that names its service. Say what happened as an event name, everything else as fields."""
    return structlog.get_logger(service=service)
