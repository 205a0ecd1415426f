"""Pages of a journal for people: plain rows in batches, read while the desk continues to write.

A page is read over its own read-only connection, and covers a bounded stretch of the journal, so that it neither waits
for the desk nor makes the desk wait. SQLite filters out most events that are not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ibdesk.engine import MANUAL
from ibdesk.model import Action, Event, OrderFound, PlaceOrder, Restore, StartStrategy
from ibdesk.store.journal_reader import Entry, JournalReader

# The most events that one page reads, and the most rows that it returns.
_STRETCH = 200_000
MOST_ROWS = 1_000


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event, numbered from 1, and the actions it caused, as plain data; `kind` names its kind.

    An action has its own ``kind``. For history and snapshots only the sizes are given.
    """

    number: int
    at_ns: int
    kind: str
    event: dict[str, Any]
    actions: list[dict[str, Any]]


class JournalPage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows in the requested order; `next` is the number from which to continue, 0 at the end.

    A page can be short, even empty, while `next` is not 0: then the stretch that was read held no more matching events.
    """

    rows: list[JournalRow]
    next: int


class JournalFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of events: by kinds, order, run or book, and time span (ns UTC)."""

    kinds: Sequence[str] = ()
    order_id: str = ""
    run_id: str = ""
    since_ns: int = 0
    until_ns: int = 2**63 - 1

    def takes(self, entry: Entry) -> bool:
        """Return whether an entry passes the filter."""
        if self.kinds and kind_of(entry.event) not in self.kinds:
            return False
        parts = [entry.event, *entry.actions]
        if self.order_id and not any(self.order_id == _order_of(part) for part in parts):
            return False
        return not self.run_id or any(self._is_of_run(part) for part in parts)

    def _is_of_run(self, part: Event | Action) -> bool:
        run_id = self.run_id
        if run_id in (getattr(part, "run_id", ""), getattr(part, "origin", ""), getattr(part, "owner", "")):
            return True
        # The id of a run's order begins with the run's id, that of an order by hand with the book's name.
        return _order_of(part).startswith(f"{run_id}-" if run_id == MANUAL else f"{run_id}.")


def read_page(
    path: Path, wanted: JournalFilter, *, after: int = 0, before: int = 0, limit: int = 100, newest_first: bool = False
) -> JournalPage:
    """Return the events numbered above `after`, and below `before` unless that is 0, as one page.

    Raises:
        JournalError: If the journal cannot be read.
    """
    rows: list[JournalRow] = []
    for entry in stretch(path, wanted, after=after, before=before, newest_first=newest_first):
        if isinstance(entry, int):
            return JournalPage(rows=rows, next=entry)
        rows.append(row_of(entry))
        if len(rows) == min(limit, MOST_ROWS):
            return JournalPage(rows=rows, next=entry.number)
    return JournalPage(rows=rows, next=0)


def stretch(
    path: Path, wanted: JournalFilter, *, after: int = 0, before: int = 0, newest_first: bool = False
) -> Iterator[Entry | int]:
    """Yield the matching entries of a stretch of the journal; last, if more lies beyond it, the number it ended at.

    Raises:
        JournalError: If the journal cannot be read.
    """
    with JournalReader(path) as journal:
        last = journal.last_number
        low, high = after + 1, min(before - 1, last) if before else last
        cut = max(low, high - _STRETCH + 1) if newest_first else min(high, low + _STRETCH - 1)
        first, final = (cut, high) if newest_first else (low, cut)
        texts = [text for text in (wanted.order_id, wanted.run_id) if text]
        for entry in journal.between(
            first,
            final,
            texts=texts,
            kinds=wanted.kinds,
            since_ns=wanted.since_ns,
            until_ns=wanted.until_ns,
            newest_first=newest_first,
        ):
            if wanted.takes(entry):
                yield entry
        if (first > low) if newest_first else (final < high):
            yield cut


def kind_of(part: Event | Action) -> str:
    """Return the kind of an event or action, as the journal names it."""
    return str(part.__struct_config__.tag)


def row_of(entry: Entry) -> JournalRow:
    """Return an entry as plain data."""
    return JournalRow(
        number=entry.number,
        at_ns=entry.event.at_ns,
        kind=kind_of(entry.event),
        event=_plain_event(entry.event),
        actions=[{"kind": kind_of(action), **_plain(action)} for action in entry.actions],
    )


def _order_of(part: Event | Action) -> str:
    return part.order.id if isinstance(part, PlaceOrder | OrderFound) else getattr(part, "order_id", "")


def _plain_event(event: Event) -> dict[str, Any]:
    if isinstance(event, StartStrategy):
        bars = {f"{past.instrument}/{past.interval_ns}": len(past.opened_ns) for past in event.history}
        return _plain(msgspec.structs.replace(event, history=[])) | {"history": bars}
    if isinstance(event, Restore):
        sizes = {"books": len(event.snapshot.books), "orders": len(event.snapshot.orders)}
        sizes |= {"fills": len(event.snapshot.fills), "runs": len(event.snapshot.runs)}
        return {"account": event.account, "at_ns": event.at_ns, "earlier": event.earlier, "snapshot": sizes}
    return _plain(event)


def _plain(part: Event | Action) -> dict[str, Any]:
    found = msgspec.to_builtins(part)
    return {name: _known(value) for name, value in found.items() if name != "type"}


def _known(value: Any) -> Any:
    """Return a value with None in place of NaN and infinity, which plain data does not have."""
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {name: _known(each) for name, each in value.items()}
        case list() | tuple():
            return [_known(each) for each in value]
    return value
