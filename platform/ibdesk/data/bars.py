"""Checked bars: the frame, how it was read, and warnings about it."""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from ibdesk.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

PRICES = ("open", "high", "low", "close")
COLUMNS = ("symbol", "opened_at", *PRICES, "volume")
"""The columns of a bar frame: str, Datetime(ns, UTC), and Float64 for the rest."""

INTERVAL = "interval"
"""The column of a frame whose bars differ in length: Duration(ns)."""

OPENED_AT = pl.Datetime("ns", "UTC")
DAY_NS = 86_400_000_000_000


def distinct(column: pl.Series) -> list[Any]:
    """Return the values of a column without nulls, each once, in no particular order.

    Most frames hold one symbol. Comparing a million rows with the first takes a fifth of the time of hashing them.
    """
    if len(column) and not column.null_count() and (column == column[0]).all():
        return [column[0]]
    return column.drop_nulls().unique().to_list()


class Bars(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Bars that passed every check, sorted by the time at which they close, then by symbol.

    * `frame`: symbol, opened_at (the start of a bar, UTC), open, high, low, close, volume; and `interval` if the bars
      differ in length.
    * `intervals`: the length of each symbol's bars, ns.
    * `format`: the recognized layout, a name of `ibdesk.data.bar_formats`; `source` is the file, folder or kind of
      object.
    * `zone`: the zone of the times as written; empty for daily bars, which belong to a date.
    * `warnings`: everything doubtful about the data, including all of `gaps` (missing bars) and `suspected` (days that
      look like a split); `notes`: how the data was read.
      split) among it; `notes`: how it was understood.
    """

    frame: pl.DataFrame
    intervals: dict[str, int]
    format: str = "frame"
    source: str = "frame"
    zone: str = ""
    warnings: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    suspected: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, sorted."""
        return tuple(sorted(self.intervals))

    @property
    def interval_ns(self) -> int:
        """The length of the bars, ns; the shortest if they differ."""
        return min(self.intervals.values())

    def only(self, symbols: Sequence[str]) -> Bars:
        """Return the bars of these symbols, or of all if none is given.

        Raises:
            DataError: If a symbol has no bars.
        """
        if missing := [symbol for symbol in symbols if symbol not in self.intervals]:
            raise DataError(f"{self.source} has no bars of {', '.join(missing)}: it has {', '.join(self.symbols)}")
        if not symbols:
            return self
        kept = {symbol: self.intervals[symbol] for symbol in sorted(symbols)}
        others = tuple(f"{symbol}: " for symbol in self.intervals if symbol not in kept)

        def about_kept(sentences: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(sentence for sentence in sentences if not sentence.startswith(others))

        return msgspec.structs.replace(
            self,
            frame=self.frame.filter(pl.col("symbol").is_in(list(kept))),
            intervals=kept,
            warnings=about_kept(self.warnings),
            gaps=about_kept(self.gaps),
            suspected=about_kept(self.suspected),
        )

    def facts(self) -> Iterator[tuple[str, str]]:
        """Yield how the data was read, as label and text."""
        lengths = sorted({span(interval) for interval in self.intervals.values()})
        first, last = self.frame["opened_at"].sort()[[0, -1]]
        yield "format", self.format
        yield "times", self.zone or ("dates" if self.interval_ns >= DAY_NS else "UTC")
        yield "symbols", listed(self.symbols)
        yield "interval", ", ".join(lengths)
        yield "span", f"{shown(first)} to {shown(last)}"
        yield "bars", f"{self.frame.height:,}"

    def table(self) -> Table:
        """Return how the data was read as a rich table."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.source, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for label, text in self.facts():
            table.add_row(label, Text(text))
        for note in self.notes:
            table.add_row("note", Text(note))
        for warning in self.warnings:
            table.add_row(Text("warning", style="yellow"), Text(warning))
        return table

    def _repr_html_(self) -> str:
        rows = [*self.facts(), *(("note", note) for note in self.notes), *(("warning", text) for text in self.warnings)]
        cells = "".join(
            f"<tr><td style='text-align:left;opacity:.7'>{html.escape(label)}</td>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for label, text in rows
        )
        return f"<table><caption>{html.escape(self.source)}</caption>{cells}</table>{self.frame.head(5)._repr_html_()}"

    def __repr__(self) -> str:
        facts = ", ".join(f"{label}: {text}" for label, text in self.facts())
        return f"<Bars of {self.source}; {facts}; {len(self.warnings)} warnings>"

    def __len__(self) -> int:
        return self.frame.height

    def __getitem__(self, column: str) -> pl.Series:
        return self.frame[column]


def span(nanoseconds: int) -> str:
    """Return a span in its largest whole unit, e.g. ``5 s``, ``15 min``, ``1 d``."""
    for unit, size in (("d", DAY_NS), ("h", 3_600_000_000_000), ("min", 60_000_000_000)):
        if nanoseconds >= size and nanoseconds % size == 0:
            return f"{nanoseconds // size} {unit}"
    return f"{nanoseconds / 1e9:g} s"


def shown(time: dt.datetime | None) -> str:
    """Return a time for errors and warnings: only the date if it is midnight UTC."""
    if time is None:
        return "no time"
    return f"{time:%Y-%m-%d}" if time.time() == dt.time() else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names separated by commas: at most `most`, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
