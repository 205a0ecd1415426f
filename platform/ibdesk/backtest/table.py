"""The figures of a run as a table for terminals and in HTML."""

from __future__ import annotations

import datetime as dt
import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ibdesk.backtest.stats import Stats

if TYPE_CHECKING:
    from rich.table import Table

# As wide as a digit, unlike the hyphen, so that columns of figures line up.
_MINUS = "\N{MINUS SIGN}"
_NONE = "\N{EN DASH}"

Group = tuple[str, list[tuple[str, str]]]


def stats_groups(stats: Stats) -> list[Group]:
    """Return the formatted figures in groups of (label, text) under a heading."""
    return [
        (
            "Return",
            [
                ("Profit", money(stats.profit)),
                ("Total return", percent(stats.total_return)),
                ("Annual return", percent(stats.annual_return)),
                ("Start equity", money(stats.start_equity)),
                ("End equity", money(stats.end_equity)),
            ],
        ),
        (
            "Risk",
            [
                ("Annual volatility", percent(stats.annual_volatility)),
                ("Sharpe", number(stats.sharpe)),
                ("Sortino", number(stats.sortino)),
                *(
                    [
                        ("Sharpe, daily returns", number(stats.daily_sharpe)),
                        ("Sortino, daily returns", number(stats.daily_sortino)),
                    ]
                    if stats.days < stats.bars
                    else []
                ),
                ("Max drawdown", percent(stats.max_drawdown)),
                ("Longest drawdown", _span(stats.max_drawdown_time)),
                ("Calmar", number(stats.calmar)),
                ("Time in the market", percent(stats.exposure_time)),
            ],
        ),
        (
            "Round trips",
            [
                ("Closed", f"{stats.trades:,}"),
                ("Win rate", percent(stats.win_rate)),
                ("Profit factor", number(stats.profit_factor)),
                ("Average", money(stats.average_trade)),
                ("Best", money(stats.best_trade)),
                ("Worst", money(stats.worst_trade)),
            ],
        ),
        (
            "Costs",
            [
                ("Orders", f"{stats.orders:,}"),
                ("Fills", f"{stats.fills:,}"),
                ("Commission", money(stats.commission)),
                ("Slippage", money(stats.slippage)),
                # Shown only if slippage was cut: prices stay within their bar.
                *([(f"Cut in {stats.fills_cut:,} fills", money(stats.slippage_cut))] if stats.fills_cut else []),
            ],
        ),
        *([(RISK_GATE, _denied(stats))] if stats.denied or stats.halted_at else []),
    ]


RISK_GATE = "Risk gate"
"""The heading of the figures shown only if the risk gate denied an order."""


def _denied(stats: Stats) -> list[tuple[str, str]]:
    denied = [("Denied", f"{stats.denied:,} of {stats.orders:,}")]
    return denied if stats.halted_at is None else [*denied, ("Halted at", f"{stats.halted_at:%Y-%m-%d %H:%M}")]


def tone(heading: str, text: str) -> str:
    """Return ``loss`` for figures that should stand out, else an empty string."""
    return "loss" if text.startswith(_MINUS) or heading == RISK_GATE else ""


def data_range(stats: Stats) -> str:
    """Return the period of the run and its number of bars."""
    days = stats.ended_at - stats.started_at >= dt.timedelta(days=2)
    form = "%Y-%m-%d" if days else "%Y-%m-%d %H:%M"
    # A daily bar closes at the following midnight; name the day itself.
    last = stats.ended_at - dt.timedelta(microseconds=1) if days else stats.ended_at
    return f"{stats.started_at:{form}} to {last:{form}} UTC, {stats.bars:,} bar times"


def stats_table(stats: Stats, *, title: str) -> Table:
    """Return the figures as a rich table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, caption=data_range(stats), box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for heading, figures in stats_groups(stats):
        table.add_row(Text(heading, style="bold not dim"), "")
        for label, text in figures:
            table.add_row(f"  {label}", Text(text, style="red" if tone(heading, text) else ""))
        table.add_section()
    return table


def stats_html(stats: Stats, *, title: str, warnings: Sequence[str] = ()) -> str:
    """Return warnings and figures as an HTML fragment with one table per group."""
    groups = "".join(_group_html(heading, figures) for heading, figures in stats_groups(stats))
    notes = "".join(f'<p style="color:#b58900">{html.escape(text)}</p>' for text in warnings)
    return (
        f'<div class="ibdesk-stats"><h3>{html.escape(title)}</h3><p>{data_range(stats)}</p>{notes}'
        f'<div style="display:flex;flex-wrap:wrap;gap:2rem;align-items:flex-start">{groups}</div></div>'
    )


def _group_html(heading: str, figures: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td>{html.escape(label)}</td><td style="text-align:right">{text}</td></tr>' for label, text in figures
    )
    return f"<table><thead><tr><th colspan='2' style='text-align:left'>{heading}</th></tr></thead>{rows}</table>"


def money(amount: float) -> str:
    """Return an amount with two decimals."""
    return _signed(amount, f"{abs(amount):,.2f}")


def percent(fraction: float) -> str:
    """Return a fraction as percent."""
    return _signed(fraction, f"{abs(fraction):,.2%}")


def number(figure: float) -> str:
    """Return a ratio with two decimals."""
    return _signed(figure, "∞" if math.isinf(figure) else f"{abs(figure):,.2f}")


def _signed(figure: float, text: str) -> str:
    """Return the text with a minus sign as wide as a digit; a dash for NaN."""
    if math.isnan(figure):
        return _NONE
    return _MINUS + text if figure < 0 else text


def _span(span: dt.timedelta) -> str:
    if span >= dt.timedelta(days=1):
        return f"{span.days:,} d"
    hours, rest = divmod(int(span.total_seconds()), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
