"""Tables of positions, orders, fills and messages: one row per key, with changed cells patched in place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec
import pandas as pd
import panel as pn
from bokeh.models.widgets.tables import HTMLTemplateFormatter

from ibdesk.backtest import palette
from ibdesk.store.feed import Row, Topic
from ibdesk.views import theme
from ibdesk.views.state import key_of

# The text is escaped by "<%-"; the color follows its sign or its word.
_SIGNED = '<span class="<%= value[0] === "+" ? "gain" : value[0] === "-" ? "loss" : "" %>"><%- value %></span>'
_WORD = '<span class="word-<%- value.split(":")[0] %>"><%- value %></span>'
_GOOD, _BAD, _OPEN = (
    ("buy", "filled", "running"),
    ("sell", "denied", "rejected", "failed", "error"),
    ("working", "sent", "held"),
)
# The width of a digit in the tables' font, and the padding of a cell, in pixels.
_CHARACTER, _CELL_PADDING = 6.7, 13
_STYLE = f"""
.tabulator, .tabulator * {{ font: 12px {palette.FONT} !important; font-variant-numeric: tabular-nums !important; }}
.tabulator, .tabulator-header, .tabulator-header-contents, .tabulator-col, .tabulator-tableholder,
.tabulator-table, .tabulator-row, .tabulator-row.tabulator-row-even, .tabulator-row:hover {{
  background: transparent !important; color: {palette.TEXT} !important; border: none !important; }}
.tabulator-col .tabulator-col-title {{ color: {palette.MUTED} !important; overflow: visible !important; }}
.tabulator-col .tabulator-col-content {{ padding: 4px 6px !important; }}
.tabulator-col.tabulator-sortable .tabulator-col-title {{ padding-right: 0 !important; }}
.tabulator-col[aria-sort="none"] .tabulator-col-sorter {{ display: none !important; }}
.tabulator-col[aria-sort="none"]:hover .tabulator-col-title {{ color: {palette.TEXT} !important; }}
.tabulator-header, .tabulator-row, .tabulator-row.tabulator-row-even {{
  border-bottom: 1px solid {palette.LINE} !important; min-height: 24px !important; }}
.tabulator-row .tabulator-cell {{ border: none !important; padding: 4px 6px !important; height: 24px !important; }}
@container (max-width: 1150px) {{
  .tabulator, .tabulator * {{ font-size: 11px !important; }}
  .tabulator-row .tabulator-cell, .tabulator-col .tabulator-col-content {{ padding: 4px 3px !important; }} }}
.tabulator-tableholder::-webkit-scrollbar {{ width: 8px; height: 8px; }}
.tabulator-tableholder::-webkit-scrollbar-thumb {{ background: {palette.LINE}; border-radius: 4px; }}
.tabulator-placeholder-contents {{ color: {palette.MUTED} !important; white-space: normal; }}
.gain, {", ".join(f".word-{word}" for word in _GOOD)} {{ color: {palette.GAIN}; }}
.loss, {", ".join(f".word-{word}" for word in _BAD)} {{ color: {palette.LOSS}; }}
.word-warning, .word-unknown {{ color: {palette.WARNING}; }}
{", ".join(f".word-{word}" for word in _OPEN)} {{ color: {palette.ACCENT}; }}
.word-cancelled, .word-expired, .word-created, .word-info {{ color: {palette.MUTED}; }}
"""


class Column(msgspec.Struct, frozen=True):
    """A column: its title, its width in characters, and the function that formats its cells.

    A column does not become narrower than its width, so that figures are not cut; a table that is too wide scrolls.
    Longer
    text ends in an ellipsis, and the tooltip shows all of it.
    """

    title: str
    width: int
    write: Callable[[Row], str]
    number: bool = False
    template: str | None = None


class KeyedTable:
    """A table of a topic's rows, one per key; `view` is the Panel component.

    Args:
        topic: The topic of the rows; determines their keys.
        columns: From left to right.
        empty: The text shown while there are no rows.
        newest_first: Whether a new key is added at the top instead of the bottom.
        limit: The maximum number of rows; the oldest are removed.
        replace_values: Send the whole table instead of patches, because JupyterLab's channel fails with several
            simultaneous patches.
    """

    def __init__(
        self,
        topic: Topic,
        columns: Iterable[Column],
        *,
        empty: str,
        newest_first: bool = True,
        limit: int = 200,
        replace_values: bool = False,
    ) -> None:
        self.topic = topic
        self._columns = tuple(columns)
        self._newest_first, self._limit, self._replace_values = newest_first, limit, replace_values
        self._cells: dict[Hashable, tuple[str, ...]] = {}
        self._places: dict[Hashable, int] = {}
        self.view = self._tabulator(empty)

    def apply(self, rows: Iterable[Row]) -> None:
        """Add new and changed rows; only visible differences are sent."""
        changed: dict[Hashable, tuple[str, ...]] = {}
        for row in rows:
            changed[key_of(self.topic, row)] = tuple(column.write(row) for column in self._columns)
        changed = {key: cells for key, cells in changed.items() if self._cells.get(key) != cells}
        if not changed:
            return
        if self._replace_values or not self._cells.keys() >= changed.keys():
            self._cells.update(changed)
            self._send_all()
        else:
            self._send_changes(changed)

    def texts(self) -> list[tuple[str, ...]]:
        """Return the displayed cells, top row first."""
        return [self._cells[key] for key in self._places]

    def _send_all(self) -> None:
        for key in list(self._cells)[: -self._limit]:
            del self._cells[key]
        keys = reversed(self._cells) if self._newest_first else iter(self._cells)
        self._places = {key: place for place, key in enumerate(keys)}
        self.view.value = self._frame(self.texts())

    def _send_changes(self, changed: dict[Hashable, tuple[str, ...]]) -> None:
        patches: dict[str, list[tuple[int, Any]]] = {}
        for key, cells in changed.items():
            before = self._cells[key]
            for column, old, new in zip(self._columns, before, cells, strict=True):
                if old != new:
                    patches.setdefault(column.title, []).append((self._places[key], new))
        self._cells.update(changed)
        self.view.patch(patches)

    def _frame(self, cells: list[tuple[str, ...]]) -> pd.DataFrame:
        return pd.DataFrame(cells, columns=[column.title for column in self._columns], dtype=object)

    def _tabulator(self, empty: str) -> pn.widgets.Tabulator:
        return pn.widgets.Tabulator(
            self._frame([]),
            show_index=False,
            disabled=True,
            selectable=False,
            layout="fit_columns",
            widths=_shares(self._columns),
            theme="simple",
            sizing_mode="stretch_both",
            css_classes=["table"],
            margin=(0, 4),
            text_align={column.title: "right" for column in self._columns if column.number},
            header_align={column.title: "right" if column.number else "left" for column in self._columns},
            formatters={
                column.title: HTMLTemplateFormatter(template=column.template)
                for column in self._columns
                if column.template
            },
            configuration={
                "placeholder": empty,
                "columnDefaults": {"resizable": True, "tooltip": True, "headerSortTristate": True},
                "columns": [_own_settings(column) for column in self._columns],
            },
            stylesheets=[_STYLE],
        )


def quotes_table(*, replace_values: bool = False) -> KeyedTable:
    """Return the table of the newest quotes, one row per instrument."""
    return KeyedTable(
        Topic.QUOTES,
        [
            Column("Symbol", 8, lambda row: row["symbol"]),
            Column("Bid size", 9, lambda row: theme.quantity(row["bid_size"]), number=True),
            Column("Bid", 10, lambda row: _price(row, "bid"), number=True),
            Column("Ask", 10, lambda row: _price(row, "ask"), number=True),
            Column("Ask size", 9, lambda row: theme.quantity(row["ask_size"]), number=True),
            Column("Time", 8, lambda row: theme.time_of_day(row["at_ns"])),
        ],
        empty="No quotes yet: they appear as soon as a strategy watches an instrument.",
        newest_first=False,
        replace_values=replace_values,
    )


def positions_table(*, replace_values: bool = False) -> KeyedTable:
    """Return the table of positions by owner and instrument."""
    return KeyedTable(
        Topic.POSITIONS,
        [
            Column("Symbol", 8, lambda row: row["symbol"]),
            Column("Held", 9, lambda row: theme.quantity(row["quantity"], signed=True), number=True),
            Column("Average", 10, lambda row: _price(row, "average_price") if row["quantity"] else "", number=True),
            Column("Last", 10, _last_or_mid, number=True),
            _profit_column("Open P&L", "unrealized_pnl"),
            _profit_column("Realized", "realized_pnl"),
            Column("Owner", 9, lambda row: row["owner"] or "account"),
        ],
        empty="No positions yet: they appear with the first fill.",
        newest_first=False,
        replace_values=replace_values,
    )


def orders_table(*, replace_values: bool = False) -> KeyedTable:
    """Return the table of orders, newest first."""
    return KeyedTable(
        Topic.ORDERS,
        [
            Column("Time", 19, lambda row: theme.clock_time(row["created_ns"])),
            Column("Symbol", 8, lambda row: row["symbol"]),
            Column("Side", 5, lambda row: row["side"], template=_WORD),
            Column("Quantity", 9, lambda row: theme.quantity(row["quantity"]), number=True),
            Column("Type", 10, lambda row: row["type"].replace("_", " ")),
            Column("Price", 15, _order_price, number=True),
            Column("Filled", 9, lambda row: theme.quantity(row["filled"]), number=True),
            Column("Average", 10, lambda row: _price(row, "average_price") if row["filled"] else "", number=True),
            Column("Status", 9, _order_status, template=_WORD),
            Column("Reason", 40, lambda row: row["reason"]),
        ],
        empty="No orders yet: a strategy places them when its target changes.",
        replace_values=replace_values,
    )


def fills_table(*, replace_values: bool = False) -> KeyedTable:
    """Return the table of fills, newest first."""
    return KeyedTable(
        Topic.FILLS,
        [
            Column("Time", 19, lambda row: theme.clock_time(row["at_ns"])),
            Column("Symbol", 8, lambda row: row["symbol"]),
            Column("Side", 5, lambda row: row["side"], template=_WORD),
            Column("Quantity", 9, lambda row: theme.quantity(row["quantity"]), number=True),
            Column("Price", 10, lambda row: _price(row, "price"), number=True),
            Column("Commission", 11, lambda row: theme.money(row["commission"]), number=True),
            Column("Owner", 14, lambda row: row["owner"] or "account"),
        ],
        empty="No fills yet.",
        replace_values=replace_values,
    )


def runs_table(*, replace_values: bool = False) -> KeyedTable:
    """Return the table of runs, latest start first."""
    return KeyedTable(
        Topic.RUNS,
        [
            Column("Started", 19, lambda row: theme.clock_time(row["started_ns"])),
            Column("Strategy", 14, lambda row: row["class_name"]),
            Column("On", 22, lambda row: ", ".join(row["symbols"])),
            Column("Bars", 8, lambda row: row["bar"]),
            Column("Parameters", 26, _parameters),
            Column("State", 9, lambda row: row["state"], template=_WORD),
        ],
        empty="No strategy is running.",
        replace_values=replace_values,
    )


def alerts_table(*, replace_values: bool = False) -> KeyedTable:
    """Return the table of messages: denied orders, halts, warnings and log lines of strategies."""
    return KeyedTable(
        Topic.ALERTS,
        [
            Column("Time", 19, lambda row: theme.clock_time(row["at_ns"])),
            Column("Severity", 9, lambda row: row["severity"], template=_WORD),
            Column("From", 12, lambda row: row["origin"]),
            Column("Message", 60, lambda row: row["text"]),
        ],
        empty="Nothing to report.",
        replace_values=replace_values,
    )


def _shares(columns: tuple[Column, ...]) -> dict[str, str]:
    """Return each column's width in whole percents that add up to 100, as Tabulator requires."""
    widths = [column.width for column in columns]
    edges = [round(100 * sum(widths[:i]) / sum(widths)) for i in range(len(widths) + 1)]
    return {column.title: f"{edges[i + 1] - edges[i]}%" for i, column in enumerate(columns)}


def _own_settings(column: Column) -> dict[str, Any]:
    """Return a column's settings for Tabulator: its minimum width, and numeric sorting for numbers."""
    settings: dict[str, Any] = {"field": column.title, "minWidth": round(_CELL_PADDING + _CHARACTER * column.width)}
    if column.number:
        settings |= {"sorter": "number", "sorterParams": {"thousandSeparator": ",", "alignEmptyValues": "bottom"}}
    return settings


def _profit_column(title: str, field: str) -> Column:
    return Column(title, 13, lambda row: theme.profit(row[field]), number=True, template=_SIGNED)


def _price(row: Row, field: str) -> str:
    return theme.price(row[field], theme.price_digits(row["symbol"]))


def _last_or_mid(row: Row) -> str:
    """Format the price of the last trade; without one, the middle of the quote, marked as such."""
    if row["last_price"] is None and row.get("mark_price") is not None:
        return f"mid {_price(row, 'mark_price')}"
    return _price(row, "last_price")


def _order_status(row: Row) -> str:
    """Format the status, with the request that the venue has not answered yet and its time."""
    if not row.get("pending"):
        return str(row["status"])
    return f"{row['status']}: {row['pending']} pending since {theme.time_of_day(row['pending_ns'])}"


def _order_price(row: Row) -> str:
    """Format the limit price, the stop price, or both; a market order has neither."""
    prices = [_price(row, field) for field in ("stop_price", "limit_price") if row[field] is not None]
    return " / ".join(prices)


def _parameters(row: Row) -> str:
    values = {name: f"{x:g}" if isinstance(x, float) else x for name, x in row["parameters"].items()}
    return ", ".join(f"{name} {value}" for name, value in values.items())
