"""The log of a run, read from the journal as lines for people."""

from __future__ import annotations

from pathlib import Path

from ibdesk.desk.answers import LogLine, RunLog
from ibdesk.errors import OrderDeniedError
from ibdesk.model import (
    Alert,
    OrderDenied,
    Severity,
    StartStrategy,
    StopStrategy,
)
from ibdesk.store import Entry, JournalFilter, stretch


def read_log(path: Path, run_id: str, *, before: int, limit: int) -> RunLog:
    """Return a run's newest lines before the journal's event `before` (0 is the end), the oldest of them first.

    Raises:
        JournalError: If the journal cannot be read.
    """
    lines: list[LogLine] = []
    for entry in stretch(path, JournalFilter(run_id=run_id), before=before, newest_first=True):
        if isinstance(entry, int):
            return RunLog(lines=lines[::-1], next=entry)
        lines += reversed(_lines(entry, run_id))
        # The lines of one event stay together, so that the next request misses none.
        if len(lines) >= limit:
            return RunLog(lines=lines[::-1], next=entry.number)
    return RunLog(lines=lines[::-1], next=0)


def _lines(entry: Entry, run_id: str) -> list[LogLine]:
    """Return the lines of one event and its actions about a run, in order."""
    said: list[tuple[Severity, str]] = []
    match entry.event:
        case StartStrategy(run_id=started) if started == run_id:
            names = ", ".join(instrument.id for instrument in entry.event.instruments)
            said.append((Severity.INFO, f"started on {names} by {entry.event.by}"))
        case StopStrategy(run_id=stopped) if stopped == run_id:
            closing = ", its positions to be closed" if entry.event.flatten else ""
            said.append((Severity.INFO, f"stopped by {entry.event.by}{closing}"))
        case _:
            pass
    for action in entry.actions:
        match action:
            case Alert(origin=origin, text=text, severity=severity) if origin == run_id:
                said.append((severity, text))
            case OrderDenied(order_id=order_id) if order_id.startswith(f"{run_id}."):
                denial = OrderDeniedError(order_id, action.rule, action.limit, action.asked)
                said.append((Severity.WARNING, str(denial)))
            case _:
                pass
    at_ns = entry.event.at_ns
    return [LogLine(number=entry.number, at_ns=at_ns, severity=each.value, text=text) for each, text in said]
