"""How a log record becomes a line: JSON for machines, colored text for a terminal."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter

from ibdesk.telemetry.masking import Mask

Line = MutableMapping[str, Any]

# What stands first in a line, in this order, where a record has it.
_FIRST = ("time", "level", "msg", "logger", "process", "order_id", "symbol", "latency_ms", "correlation_id")
# What this module writes itself can hold no secret.
_OURS = frozenset({"time", "level", "logger", "process", "thread"})
# A log is read on terminals: what is in it must not move the cursor, or forge a line of its own.
_CONTROL = {number: f"\\x{number:02x}" for number in [*range(9), *range(11, 32), *range(127, 160)]}


def json_formatter(mask: Mask, process: str) -> logging.Formatter:
    """Return what makes one JSON object on one line of a record: time, level, msg, logger, ids, and the extras."""
    chain = [ExtraAdder(), structlog.processors.format_exc_info, _head(process), _masked(mask), _in_order, _as_json]
    return ProcessorFormatter(processors=chain)


def text_formatter(mask: Mask, process: str, *, colors: bool) -> logging.Formatter:
    """Return what makes a line for people of a record; a traceback follows on lines of its own."""
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=40, event_key="msg", timestamp_key="time", sort_keys=False
    )
    chain = [
        ExtraAdder(),
        structlog.processors.format_exc_info,
        _head(process),
        _masked(mask),
        _in_order,
        _for_people,
        renderer,
    ]
    return ProcessorFormatter(processors=chain)


def _head(process: str) -> Any:
    def add(_logger: object, _method: str, line: Line) -> Line:
        record: logging.LogRecord = line["_record"]
        del line["_record"], line["_from_structlog"]
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line["time"] = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
        line["level"], line["msg"] = record.levelname, line.pop("event")
        line["logger"], line["process"] = record.name, process
        # Set by whoever queued the record, in the thread and the task in which it was made.
        if not line.get("correlation_id"):
            line.pop("correlation_id", None)
        if record.threadName not in (None, "MainThread"):
            line["thread"] = record.threadName
        return line

    return add


def _masked(mask: Mask) -> Any:
    def hide(_logger: object, _method: str, line: Line) -> Line:
        return {name: value if name in _OURS else mask.value(name, value) for name, value in line.items()}

    return hide


def _in_order(_logger: object, _method: str, line: Line) -> Line:
    return {name: line[name] for name in _FIRST if name in line} | {
        name: value for name, value in line.items() if name not in _FIRST
    }


def _as_json(_logger: object, _method: str, line: Line) -> str:
    return msgspec.json.encode(line).decode()


def _for_people(_logger: object, _method: str, line: Line) -> Line:
    """Return the line as the renderer wants it: nothing that says the same in every line, no control characters."""
    line = {
        name: value.translate(_CONTROL) if isinstance(value, str) else value
        for name, value in line.items()
        if name not in ("process", "thread")
    }
    line["time"], line["level"] = line["time"][11:23], line["level"].lower()
    return line
