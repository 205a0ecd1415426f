"""Results of desks and backtests as tables for the terminal."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import msgspec
import polars as pl
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ibdesk.backtest import Result
from ibdesk.backtest.table import data_range, stats_groups, tone
from ibdesk.cli.screen import console, line, milliseconds, money, plain_table, price, quantity, show_table, span
from ibdesk.desk import DeskHandle, DeskHealth, LatencySummary, RunInfo
from ibdesk.errors import DeskError
from ibdesk.store.totals import profit, total

# The number of newest rows that a table shows.
_ROWS = 6
_STATUS_STYLES = {"filled": "green", "denied": "yellow", "rejected": "red", "unknown": "bold red"}


class Summary(msgspec.Struct, frozen=True):
    """The results of a desk, taken while it is open."""

    orders: pl.DataFrame
    fills: pl.DataFrame
    round_trips: pl.DataFrame
    positions: pl.DataFrame
    latency: LatencySummary
    runs: list[RunInfo]

    @classmethod
    def of(cls, desk: DeskHandle) -> Summary:
        """Return the results of a desk."""
        return cls(desk.orders(), desk.fills(), desk.round_trips(), desk.positions(), desk.latency(), desk.runs())

    def check(self) -> None:
        """Check that no run has failed.

        Raises:
            DeskError: If a run has failed.
        """
        for run in self.runs:
            if run.state == "failed":
                raise DeskError(f"{run.run_id} failed: {run.note}")

    def show(self) -> None:
        """Print the results."""
        if self.orders.is_empty():
            console.print("There were no orders.")
        else:
            show_table(orders_table(self.orders))
        if not self.fills.is_empty():
            show_table(fills_table(self.fills))
        if not self.round_trips.is_empty():
            show_table(round_trips_table(self.round_trips))
        if not self.positions.is_empty():
            show_table(profit_table(self.positions))
        if self.latency.count:
            line("latency", latency_text(self.latency))


def stats_view(result: Result) -> RenderableType:
    """Return the figures of a backtest in groups, side by side as far as the terminal is wide enough."""
    groups = []
    for heading, figures in stats_groups(result.stats):
        table = plain_table(heading, "", title="", right=1)
        table.title = None
        for label, text in figures:
            table.add_row(label, Text(text, style="red" if tone(heading, text) else ""))
        groups.append(table)
    return Group(Columns(groups, padding=(0, 3)), Text(f"  {data_range(result.stats)}", style="dim"))


def orders_table(orders: pl.DataFrame) -> Table:
    """Return the last orders; the title has the number of each status."""
    counts = orders.group_by("status").len().sort("len", "status", descending=[True, False])
    table = plain_table(
        "time", "symbol", "side", "type", "status", "quantity", "price", title=_title("Orders", orders, counts), right=2
    )
    for row in _last(orders):
        status = Text(row["status"], style=_STATUS_STYLES.get(row["status"], ""))
        if row["reason"]:
            status.append(f"\n{row['reason']}", style="dim")
        shown = (row["symbol"], row["side"], row["type"], status, quantity(row["quantity"]))
        table.add_row(_clock(row["created_at"]), *shown, price(row["average_price"]))
    return table


def fills_table(fills: pl.DataFrame) -> Table:
    """Return the last fills."""
    counts = fills.group_by("side").len().sort("side")
    table = plain_table(
        "time", "symbol", "side", "quantity", "price", "commission", title=_title("Fills", fills, counts), right=3
    )
    for row in _last(fills):
        figures = (quantity(row["quantity"]), price(row["price"]), money(row["commission"]))
        table.add_row(_clock(row["filled_at"]), row["symbol"], row["side"], *figures)
    return table


def round_trips_table(trips: pl.DataFrame) -> Table:
    """Return the last round trips."""
    won = trips.filter(pl.col("pnl") > 0).height
    table = plain_table(
        *("opened", "closed", "symbol", "side", "quantity", "in", "out", "P&L"),
        title=f"Round trips: {trips.height:,}, {won:,} of them with a gain",
        right=4,
    )
    for row in _last(trips):
        figures = (quantity(row["quantity"]), price(row["entry_price"]), price(row["exit_price"]), money(row["pnl"]))
        table.add_row(_clock(row["opened_at"]), _clock(row["closed_at"]), row["symbol"], row["side"], *figures)
    return table


def profit_table(positions: pl.DataFrame) -> Table:
    """Return the position and profit of each symbol over all owners, and the total."""
    table = plain_table(
        "symbol", "position", "last", "realized", "unrealized", "commission", "P&L", title="Profit and loss", right=6
    )
    rows = positions.to_dicts()
    for symbol in sorted({row["symbol"] for row in rows}):
        held = [row for row in rows if row["symbol"] == symbol]
        amount = math.fsum(row["quantity"] for row in held)
        table.add_row(symbol, quantity(amount), price(held[-1]["last_price"]), *_profit(held))
    table.add_section()
    table.add_row("total", "", "", *_profit(rows), style="bold")
    return table


def live_view(
    health: DeskHealth, positions: pl.DataFrame, latency: LatencySummary, *, seconds: float
) -> RenderableType:
    """Return the state of a desk: its profit table, if it has positions, above a line of counts."""
    now = Text(live_line(health, positions, latency, seconds=seconds), style="dim")
    return now if positions.is_empty() else Group(profit_table(positions), now)


def live_line(health: DeskHealth, positions: pl.DataFrame, latency: LatencySummary, *, seconds: float) -> str:
    """Return the state of a desk in one line."""
    parts = [span(seconds), f"link {health.link.value}", f"{health.orders:,} orders", f"{health.fills:,} fills"]
    if latency.count:
        parts.append(f"tick to order p50 {milliseconds(latency.p50_ms)}")
    parts.append(f"P&L {money(profit(positions.to_dicts()))}")
    if health.window is not None:
        parts.append(f"next window {health.window.words}")
    if health.halted:
        parts.append(f"HALTED: {health.halted} (halt {', '.join(health.halt_ids)})")
    return "  ".join(parts)


def latency_text(latency: LatencySummary) -> str:
    """Return tick-to-order latency in words."""
    return (
        f"tick to order p50 {milliseconds(latency.p50_ms)}, p99 {milliseconds(latency.p99_ms)}, "
        f"longest {milliseconds(latency.max_ms)}, over {latency.count:,} orders"
    )


def _title(noun: str, frame: pl.DataFrame, counts: pl.DataFrame) -> str:
    of_each = ", ".join(f"{count:,} {name}" for name, count in counts.iter_rows())
    last = f"; the last {_ROWS}" if frame.height > _ROWS else ""
    return f"{noun}: {frame.height:,} ({of_each}){last}"


def _last(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return frame.tail(_ROWS).to_dicts()


def _clock(moment: dt.datetime) -> str:
    return f"{moment:%H:%M:%S}"


def _profit(rows: list[dict[str, Any]]) -> tuple[Text, Text, Text, Text]:
    realized, unrealized, commission = (total(rows, n) for n in ("realized_pnl", "unrealized_pnl", "commission"))
    return money(realized), money(unrealized), money(commission), money(profit(rows))
