"""The whole screen: figures on top, the chosen price chart, profit over time, and the tables."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

import panel as pn

from ibdesk.backtest import palette
from ibdesk.store.feed import Row, Topic
from ibdesk.views import tables, theme
from ibdesk.views.equity_chart import EquityChart
from ibdesk.views.live_text import LiveText
from ibdesk.views.price_chart import PriceChart
from ibdesk.views.state import BoardState, Update
from ibdesk.views.summary import FeedStatus, SummaryView

_Series = tuple[str, int]
# What is shown where follows the width of the board, which in a notebook is not that of the window.
_CONTAINER = ":host { container-type: inline-size; overflow-y: auto; }"
_GRID = f"""
:host {{ display: grid !important; gap: 8px; padding: 0 8px 8px 8px; box-sizing: border-box;
  background: {palette.BACKGROUND}; grid-template-columns: minmax(0, 8fr) minmax(610px, 5fr);
  grid-template-rows: auto minmax(420px, 5fr) minmax(220px, 3fr);
  grid-template-areas: "top top" "price side" "activity activity"; min-height: 740px; }}
.top {{ grid-area: top; height: max-content !important; }} .scroll-button {{ display: none; }}
.price {{ grid-area: price; }} .side {{ grid-area: side; }} .activity {{ grid-area: activity; }}
@container (max-width: 960px) {{
  :host {{ grid-template-columns: minmax(0, 1fr); height: auto !important;
    grid-template-rows: auto 420px 520px 320px; grid-template-areas: "top" "price" "side" "activity"; }} }}
"""
_CARD = f":host {{ background: {palette.SURFACE}; border: 1px solid {palette.LINE}; border-radius: 6px; }}"
_SHARES = ".chart { flex: 1 1 0 !important; } .table { flex: 1 1 0 !important; min-height: 90px; }"
_HEADLINE = f"""
:host {{ font: 13px {palette.FONT}; color: {palette.TEXT}; font-variant-numeric: tabular-nums; }}
.line {{ display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 16px; padding: 2px 12px; }}
.symbol {{ font-size: 16px; font-weight: 650; }} .last {{ font-size: 16px; }}
.muted {{ color: {palette.MUTED}; }} .gain {{ color: {palette.GAIN}; }} .loss {{ color: {palette.LOSS}; }}
"""
_TITLE = f":host {{ font: 500 12px {palette.FONT}; color: {palette.MUTED}; padding: 8px 12px 0 12px; }}"
_TABS = f"""
.bk-header {{ border-bottom: 1px solid {palette.LINE} !important; }}
.bk-tab {{ font: 500 12px {palette.FONT}; color: {palette.MUTED} !important; border: none !important;
  background: transparent !important; padding: 7px 12px; }}
.bk-tab.bk-active {{ color: {palette.TEXT} !important; box-shadow: inset 0 -2px {palette.ACCENT}; }}
"""
_BUTTONS = f"""
.bk-btn-group {{ gap: 4px; flex-wrap: wrap; }}
.bk-btn-group .bk-btn.bk-btn-default {{
  font: 500 12px {palette.FONT}; color: {palette.MUTED} !important; padding: 4px 10px;
  background: transparent !important;
  border: 1px solid transparent !important; border-radius: 4px !important; box-shadow: none !important; }}
.bk-btn-group .bk-btn.bk-btn-default:hover {{ color: {palette.TEXT} !important; }}
.bk-btn-group .bk-btn.bk-btn-default.bk-active {{
  color: {palette.TEXT} !important; background: {palette.LINE} !important; }}
"""


class Board:
    """Everything a watcher sees of one desk; `view` is the Panel component to show.

    The owner hands it the feed's rows a few times a second with `apply` and says with `show_feed` how they come.
    `replace_values` is for notebooks: tables are then sent whole rather than patched, and all of a tick in one push.
    """

    def __init__(self, *, replace_values: bool = False, height: str = "100vh") -> None:
        self.state = BoardState()
        self._one_push = replace_values
        self._feed = FeedStatus.CONNECTING
        self._charts: dict[_Series, PriceChart] = {}
        self._summary = SummaryView()
        self._equity, self._equity_shown = EquityChart(), False
        self._quotes = tables.quotes_table(replace_values=replace_values)
        self._positions = tables.positions_table(replace_values=replace_values)
        self._activity = {
            "Orders": tables.orders_table(replace_values=replace_values),
            "Fills": tables.fills_table(replace_values=replace_values),
            "Strategies": tables.runs_table(replace_values=replace_values),
            "Messages": tables.alerts_table(replace_values=replace_values),
        }
        self._selector = pn.widgets.RadioButtonGroup(options={}, stylesheets=[_BUTTONS], margin=(6, 8, 0, 8))
        self._selector.param.watch(self._choose, "value")
        self._headline = LiveText(_HEADLINE)
        self._chart_place = pn.Column(
            _note("No bars yet: they appear as soon as a strategy watches an instrument."),
            sizing_mode="stretch_both",
            margin=0,
        )
        self._equity_place = pn.Column(
            _note("No profit or loss yet."), css_classes=["chart"], sizing_mode="stretch_both", margin=0
        )
        self.view = self._grid(height)
        self._show_figures()

    def apply(self, update: Update) -> None:
        """Take what came since the last tick and send what it changes on the screen."""
        self.state.apply(update)
        if not self._one_push:
            # Held back, a patch looks to Panel like an edit made in the browser: it would book it once more.
            self._fill_tables(update)
        with pn.io.hold():
            if self._one_push:
                self._fill_tables(update)
            self._stream_charts(update)
            if update.get(Topic.BARS):
                self._offer_series()
            self._show_figures()

    def show_feed(self, feed: FeedStatus) -> None:
        """Say how the rows reach this board."""
        if feed is not self._feed:
            self._feed = feed
            self._summary.show(self.state, feed)

    @property
    def chosen(self) -> str:
        """Return the instrument whose chart is shown, or nothing while there is none."""
        return self._selector.value[0] if self._selector.value else ""

    def choose(self, symbol: str) -> None:
        """Show the price chart of an instrument that has bars."""
        for series in self.state.series():
            if series[0] == symbol:
                self._selector.value = series
                return

    def _fill_tables(self, update: Update) -> None:
        for table in (self._quotes, self._positions, *self._activity.values()):
            table.apply(update.get(table.topic, ()))

    def _stream_charts(self, update: Update) -> None:
        self._show_equity(update.get(Topic.EQUITY, ()))
        for chart in self._charts.values():
            chart.stream_bars(update.get(Topic.BARS, ()))
            chart.stream_indicators(update.get(Topic.INDICATORS, ()))
            chart.mark_fills(update.get(Topic.FILLS, ()))

    def _show_equity(self, rows: Iterable[Row]) -> None:
        self._equity.stream(rows)
        if not self._equity_shown and self.state.count(Topic.EQUITY):
            self._equity_shown = True
            self._equity_place[:] = [pn.pane.Bokeh(self._equity.figure, sizing_mode="stretch_both", margin=0)]

    def _show_figures(self) -> None:
        self._summary.show(self.state, self._feed)
        chart = self._charts.get(self._selector.value)
        if chart is not None:
            chart.show_last_price(self.state.last_price(chart.symbol))
            self._headline.show(_headline(self.state, chart.symbol, chart.interval_ns))

    def _offer_series(self) -> None:
        """Add instruments that came since to the selector; the first one is chosen."""
        series = self.state.series()
        if len(series) == len(self._selector.options):
            return
        symbols = [symbol for symbol, _ in series]
        self._selector.options = {
            symbol if symbols.count(symbol) == 1 else f"{symbol} {_length(interval)}": (symbol, interval)
            for symbol, interval in sorted(series)
        }
        if self._selector.value not in series:
            self._selector.value = min(series)
        if not self._charts:
            self._choose()

    def _choose(self, *_: Any) -> None:
        """Put the chosen chart on the screen; it is drawn from the histories when it is first asked for."""
        series = self._selector.value
        if series is None:
            return
        if series not in self._charts:
            self._charts[series] = self._draw(series)
        pane = pn.pane.Bokeh(self._charts[series].figure, sizing_mode="stretch_both", margin=0)
        self._chart_place[:] = [pane]
        self._show_figures()

    def _draw(self, series: _Series) -> PriceChart:
        chart = PriceChart(*series)
        chart.stream_bars(self.state.history(Topic.BARS, series))
        for row in self.state.latest(Topic.INDICATORS):
            key = (row["symbol"], row["run_id"], row["name"])
            chart.stream_indicators(self.state.history(Topic.INDICATORS, key))
        chart.mark_fills(self.state.latest(Topic.FILLS))
        return chart

    def _grid(self, height: str) -> pn.Column:
        price = pn.Column(
            self._selector,
            self._headline.view,
            self._chart_place,
            css_classes=["price"],
            sizing_mode="stretch_both",
            margin=0,
            stylesheets=[_CARD],
        )
        side = pn.Column(
            _title("Profit and loss"),
            self._equity_place,
            _title("Positions"),
            self._positions.view,
            _title("Quotes"),
            self._quotes.view,
            css_classes=["side"],
            sizing_mode="stretch_both",
            margin=0,
            stylesheets=[_CARD, _SHARES],
        )
        activity = pn.Tabs(
            *((title, table.view) for title, table in self._activity.items()),
            css_classes=["activity"],
            sizing_mode="stretch_both",
            margin=0,
            stylesheets=[_CARD, _TABS],
        )
        top = pn.Column(self._summary.view, css_classes=["top"], sizing_mode="stretch_width", margin=0)
        grid = pn.Column(
            top,
            price,
            side,
            activity,
            styles={"height": "100%"},
            sizing_mode="stretch_both",
            margin=0,
            stylesheets=[_GRID],
        )
        return pn.Column(
            grid, styles={"height": height}, sizing_mode="stretch_both", margin=0, stylesheets=[_CONTAINER]
        )


def _headline(state: BoardState, symbol: str, interval_ns: int) -> str:
    """Return the line over the chart: last price, change over the chart's history, quote and what is held."""
    digits, series = theme.price_digits(symbol), (symbol, interval_ns)
    last, first = state.last_price(symbol), state.oldest(Topic.BARS, series)
    change = last / first["open"] - 1 if last is not None and first and first["open"] else None
    parts = [
        f'<span class="symbol">{escape(symbol)}</span><span class="last">{theme.price(last, digits)}</span>',
        f'<span class="{theme.sign_class(change and change * 100)}">{theme.percent(change)}</span>',
        f'<span class="muted">over {state.length(Topic.BARS, series):,} bars of {_length(interval_ns)}</span>',
    ]
    quote = state.newest(Topic.QUOTES, symbol)
    if quote:
        parts += [
            f'<span><span class="muted">{side}</span> {theme.price(quote[side], digits)}</span>'
            for side in ("bid", "ask")
        ]
    held = sum(row["quantity"] for row in state.latest(Topic.POSITIONS) if row["symbol"] == symbol)
    if held:
        parts.append(f'<span><span class="muted">held</span> {theme.quantity(held, signed=True)}</span>')
    return f'<div class="line">{"".join(parts)}</div>'


def _length(interval_ns: int) -> str:
    """Write a bar's length as traders say it: 5 s, 1 min, 1 h, 1 d."""
    seconds = interval_ns / 1e9
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _title(text: str) -> pn.pane.HTML:
    return pn.pane.HTML(text, stylesheets=[_TITLE], sizing_mode="stretch_width", margin=0)


def _note(text: str) -> pn.pane.HTML:
    style = f":host {{ font: 13px {palette.FONT}; color: {palette.MUTED}; padding: 60px 20px; text-align: center; }}"
    return pn.pane.HTML(text, stylesheets=[style], sizing_mode="stretch_width", margin=0)
