"""The HTML report of a backtest, a single file without external resources."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from bokeh.embed import components
from bokeh.resources import INLINE

from ibdesk.backtest.palette import BACKGROUND, FONT, GAIN, LINE, LOSS, MUTED, SURFACE, TEXT
from ibdesk.backtest.plot import plot_result
from ibdesk.backtest.table import data_range, money, number, percent, stats_groups, tone
from ibdesk.data.bars import span

if TYPE_CHECKING:
    from ibdesk.backtest.result import Result

_TRIPS_SHOWN = 12
_CSS = f"""
:root {{ color-scheme: dark; }}
body {{ margin: 0; background: {BACKGROUND}; color: {TEXT}; font: 14px/1.45 {FONT}; }}
main {{ max-width: 1320px; margin: 0 auto; padding: 24px 28px 48px; }}
h1 {{ font-size: 26px; margin: 0 0 2px; font-weight: 650; }}
h2 {{ font-size: 13px; margin: 0 0 8px; font-weight: 600; color: {MUTED}; }}
p {{ margin: 0 0 4px; color: {MUTED}; }}
.cards {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px
0; }} .card {{ background: {SURFACE}; border: 1px solid {LINE}; border-radius: 8px; padding: 12px 16px; }}
.card b {{ display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }} .card
span {{ color: {MUTED}; font-size: 12px; }} .boxes {{ display: grid; grid-template-columns: repeat(auto-fit,
minmax(220px, 1fr)); gap: 12px; margin-top: 20px; }} .box {{ background: {SURFACE}; border: 1px solid {LINE};
border-radius: 8px; padding: 14px 16px; overflow-x: auto; }} .wide {{ margin-top: 12px; }} table {{
border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }} td, th {{ padding: 3px 0 3px
14px; text-align: right; white-space: nowrap; }} td:first-child, th:first-child {{ text-align: left;
padding-left: 0; }} td:first-child {{ color: {MUTED}; }} th {{ color: {MUTED}; font-weight: 500; font-size:
12px; border-bottom: 1px solid {LINE}; }} .gain {{ color: {GAIN}; }} .loss {{ color: {LOSS}; }} .warning {{
color: #e3b341; }} footer {{ margin-top: 28px; color: {MUTED}; font-size: 12px; overflow-wrap: anywhere; }}
"""


def write_report(result: Result, path: Path) -> Path:
    """Write the report to `path` atomically, and return its absolute path.

    Raises:
        OSError: If the report cannot be written.
    """
    page = render_report(result).encode()
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
        try:
            part.write(page)
            part.flush()
            Path(part.name).replace(path)
        except OSError:
            Path(part.name).unlink(missing_ok=True)
            raise
    path.chmod(0o644)
    return path.resolve()


def render_report(result: Result) -> str:
    """Return the report's HTML, including Bokeh's scripts."""
    script, plots = components(plot_result(result))
    # Not INLINE.render(): if Panel is imported, it refers to external scripts of Panel.
    bokeh = "".join(f"<script>{code}</script>" for code in INLINE.js_raw)
    name = html.escape(result.source.class_name)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: backtest</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{_CSS}</style>{bokeh}</head><body><main>"
        f"<h1>{name}</h1><p>{_subtitle(result)}</p>{_warnings(result)}{_cards(result)}{plots}"
        f'<div class="boxes">{"".join(_box(*group) for group in stats_groups(result.stats))}'
        f"{_box('Parameters', _parameters(result))}</div>"
        f"{_symbols_table(result)}{_trips_table(result)}{_footer(result)}"
        f"</main>{script}</body></html>"
    )


def _subtitle(result: Result) -> str:
    symbols = ", ".join(result.symbols[:12]) + (" ..." if len(result.symbols) > 12 else "")
    return html.escape(f"{symbols} on bars of {span(result.interval_ns)}, {data_range(result.stats)}")


def _warnings(result: Result) -> str:
    return "".join(f'<p class="warning">{html.escape(text)}</p>' for text in result.warnings)


def _cards(result: Result) -> str:
    stats = result.stats
    cards = [
        ("Total return", percent(stats.total_return)),
        ("Annual return", percent(stats.annual_return)),
        ("Sharpe", number(stats.sharpe)),
        ("Max drawdown", percent(stats.max_drawdown)),
        ("Round trips", f"{stats.trades:,}"),
        ("Win rate", percent(stats.win_rate)),
        ("Costs", money(stats.commission + stats.slippage)),
    ]
    return f'<div class="cards">{"".join(_card(*card) for card in cards)}</div>'


def _card(label: str, text: str) -> str:
    return f'<div class="card"><span>{label}</span><b class="{tone("", text)}">{text}</b></div>'


def _box(heading: str, figures: list[tuple[str, str]]) -> str:
    rows = "".join(
        f'<tr><td>{html.escape(label)}</td><td class="{tone(heading, text)}">{html.escape(text)}</td></tr>'
        for label, text in figures
    )
    return f'<div class="box"><h2>{heading}</h2><table>{rows}</table></div>'


def _parameters(result: Result) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in result.parameters.items()] or [("none", "")]


def _symbols_table(result: Result) -> str:
    """Return the table of closed round trips by symbol."""
    by_symbol = result.round_trips.group_by("symbol").agg(
        trips=pl.len(),
        won=(pl.col("pnl") > 0).mean(),
        pnl=pl.col("pnl").sum(),
        best=pl.col("pnl").max(),
        worst=pl.col("pnl").min(),
        commission=pl.col("commission").sum(),
    )
    rows = [
        [row["symbol"], f"{row['trips']:,}", percent(row["won"]), *(money(row[name]) for name in _SUMS)]
        for row in by_symbol.sort("symbol").iter_rows(named=True)
    ]
    return _table("By symbol", ["", "Round trips", "Win rate", "Profit", "Best", "Worst", "Commission"], rows)


_SUMS = ("pnl", "best", "worst", "commission")


def _trips_table(result: Result) -> str:
    trips = result.round_trips.tail(_TRIPS_SHOWN).reverse()
    form = "%Y-%m-%d" if result.interval_ns >= 86_400_000_000_000 else "%Y-%m-%d %H:%M:%S"
    rows = [
        [
            f"{trip['symbol']} {trip['side']}",
            f"{trip['opened_at']:{form}}",
            f"{trip['closed_at']:{form}}",
            f"{trip['quantity']:,.10g}",
            money(trip["entry_price"]),
            money(trip["exit_price"]),
            money(trip["pnl"]),
            percent(trip["return"]),
        ]
        for trip in trips.iter_rows(named=True)
    ]
    heads = ["", "Opened", "Closed", "Quantity", "Entry", "Exit", "Profit", "Return"]
    return _table(f"Last {len(rows)} of {result.round_trips.height:,} round trips", heads, rows)


def _table(heading: str, heads: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f'<td class="{tone("", text)}">{html.escape(text)}</td>' for text in row) + "</tr>"
        for row in rows
    )
    return f'<div class="box wide"><h2>{heading}</h2><table><tr>{head}</tr>{body}</table></div>'


def _footer(result: Result) -> str:
    source = result.source
    file = f"{Path(source.path).name}, sha256 {source.sha256}" if source.sha256 else "not loaded from a file"
    return (
        f"<footer>Strategy {html.escape(source.class_name)}: {html.escape(file)}. Orders fill at the next "
        f"bar's open at the earliest; all figures include commissions and slippage; round trips count closed "
        f"positions only, the equity open ones too.</footer>"
    )
