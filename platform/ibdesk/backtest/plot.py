"""Plots of a backtest with Bokeh: price with features and fills, equity, and drawdown."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from bokeh.layouts import column
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CrosshairTool,
    DatetimeTickFormatter,
    HoverTool,
    InlineStyleSheet,
    LayoutDOM,
    NumeralTickFormatter,
    Range1d,
    TabPanel,
    Tabs,
)
from bokeh.models.annotations import Span, Title
from bokeh.models.renderers import DataRenderer, GlyphRenderer
from bokeh.plotting import figure

from ibdesk.backtest.palette import ACCENT, BACKGROUND, FONT, GAIN, LINE, LINES, LOSS, MUTED, SURFACE, TEXT, TIME_TICKS
from ibdesk.backtest.plot_range import CANDLES, follow_time
from ibdesk.engine import TARGET

if TYPE_CHECKING:
    from ibdesk.backtest.result import Result

# Zooming with the wheel stops at this number of visible bars.
_FEWEST_BARS = 10
# The number of points that a screen can show; longer series are drawn in buckets of several bars.
_POINTS = 4000
_TICKS = DatetimeTickFormatter(**TIME_TICKS)
_TABS_CSS = f"""
.bk-header {{ border-bottom: 1px solid {LINE} !important; }}
.bk-tab {{ color: {MUTED}; font: 600 13px {FONT}; padding: 8px 18px; border: none; }}
.bk-tab:hover {{ color: {TEXT}; background: {SURFACE}; }}
.bk-tab.bk-active {{ color: {TEXT}; background: transparent; border: none; border-bottom: 2px solid {ACCENT};
}}
"""


def plot_result(result: Result) -> LayoutDOM:
    """Return the plots of a result, linked in time: one tab per symbol, with equity and drawdown below.

    Price axes follow the visible time range. Bars are drawn as candles if they are wide enough. Zooming and dragging
    stay within the history.
    """
    times = result.equity["opened_at"]
    step, bar = times[-1] - times[0], dt.timedelta(microseconds=result.interval_ns / 1_000)
    room = max(step * 0.01, bar)
    first, last = times[0] - room, times[-1] + room
    x_range = Range1d(first, last, bounds=(first, last), min_interval=bar * _FEWEST_BARS)
    cursor = Span(dimension="height", line_color=MUTED, line_alpha=0.6, line_width=1)
    panels = [
        TabPanel(title=symbol, child=column(_price_plots(result, symbol, x_range, cursor), sizing_mode="stretch_width"))
        for symbol in result.symbols
    ]
    tabs = Tabs(tabs=panels, stylesheets=[InlineStyleSheet(css=_TABS_CSS)], sizing_mode="stretch_width")
    below = [_equity_plot(result, x_range, cursor), _drawdown_plot(result, x_range, cursor)]
    layout: LayoutDOM = column(
        [tabs, *below], sizing_mode="stretch_width", spacing=4, styles={"background": BACKGROUND}
    )
    return layout


def _price_plots(result: Result, symbol: str, x_range: Range1d, cursor: Span) -> list[figure]:
    """Return the price plot of a symbol, and a second plot for features that are not prices, if any."""
    bars = result.bars.filter(pl.col("symbol") == symbol)
    features = [name for name in bars.columns[bars.columns.index("volume") + 1 :] if name != TARGET]
    bucket = -(-bars.height // _POINTS)
    drawn = _in_buckets(bars, features, bucket)
    source = ColumnDataSource({name: drawn[name].to_numpy() for name in drawn.columns if name != "symbol"})
    on_price = [name for name in features if _is_price(bars, name)]
    # If the price has grown tenfold, use a logarithmic scale: equal steps are equal returns.
    grown = bars["high"].to_numpy().max() >= 10 * bars["low"].to_numpy().min()
    price = _figure(
        x_range,
        cursor,
        height=430,
        title=_title(result, symbol, bucket),
        scale="log" if grown else "linear",
    )
    if grown:
        # A logarithmic axis has ticks at powers of ten, which are too few for a price.
        price.yaxis.ticker = BasicTicker(desired_num_ticks=10)
    price.yaxis.formatter = NumeralTickFormatter(format="0,0.[0000]")
    candles = _draw_candles(price, source, width_ms=result.interval_ns * bucket / 1e6 * 0.7)
    band = price.varea("opened_at", "low", "high", source=source, color=MUTED, alpha=0.18)
    line = price.line("opened_at", "close", source=source, color=TEXT, line_width=1.2, alpha=0.85)
    for renderer in candles:
        renderer.visible = drawn.height <= CANDLES
    for renderer in (band, line):
        renderer.visible = drawn.height > CANDLES
    _draw_features(price, source, on_price)
    follow_time(price, source, low="low", high="high", others=on_price, candles=candles, instead=[band, line])
    price.add_tools(_hover([line, candles[1]], [*("open", "high", "low", "close"), *on_price], time=_time_form(result)))
    _draw_fills(price, result.fills.filter(pl.col("symbol") == symbol))
    _dress_legend(price)
    others = [name for name in features if name not in on_price]
    if not others:
        return [price]
    panel = _figure(x_range, cursor, height=150, title="")
    _draw_features(panel, source, others)
    follow_time(panel, source, low=others[0], high=others[0], others=others[1:])
    _dress_legend(panel)
    return [price, panel]


def _title(result: Result, symbol: str, bucket: int) -> str:
    pooled = f", each point {bucket} bars" if bucket > 1 else ""
    trips = result.round_trips.filter(pl.col("symbol") == symbol)
    return f"{symbol}: {trips.height:,} round trips, {trips['pnl'].sum():,.2f} {_currency(result)}{pooled}"


def _time_form(result: Result) -> str:
    return "%F" if result.interval_ns >= 86_400_000_000_000 else "%F %T"


def _currency(result: Result) -> str:
    return next(iter(result.instruments.values())).currency


def _in_buckets(bars: pl.DataFrame, features: list[str], bucket: int) -> pl.DataFrame:
    if bucket <= 1:
        return bars
    return (
        bars.group_by(bucket=pl.int_range(pl.len()) // bucket, maintain_order=True)
        .agg(
            pl.col("opened_at", "open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close", *features).last(),
        )
        .drop("bucket")
    )


def _is_price(bars: pl.DataFrame, name: str) -> bool:
    """Return whether a feature is on the price's scale: between half its low and twice its high."""
    values = bars[name].drop_nulls().to_numpy()
    low, high = bars["low"].to_numpy().min(), bars["high"].to_numpy().max()
    return bool(len(values)) and bool(values.min() >= low / 2 and values.max() <= high * 2)


def _draw_candles(plot: figure, source: ColumnDataSource, *, width_ms: float) -> list[GlyphRenderer[Any]]:
    """Draw wicks, then bodies, and return both."""
    source.data["color"] = [
        GAIN if closed >= opened else LOSS
        for opened, closed in zip(source.data["open"], source.data["close"], strict=True)
    ]
    return [
        plot.segment("opened_at", "high", "opened_at", "low", source=source, color="color", line_width=1),
        plot.vbar("opened_at", width_ms, "open", "close", source=source, fill_color="color", line_color="color"),
    ]


def _draw_features(plot: figure, source: ColumnDataSource, names: list[str]) -> None:
    for i, name in enumerate(names):
        color = LINES[i % len(LINES)]
        plot.line("opened_at", name, source=source, color=color, line_width=1.3, legend_label=name)


def _draw_fills(plot: figure, fills: pl.DataFrame) -> None:
    for side, marker, color in (("buy", "triangle", GAIN), ("sell", "inverted_triangle", LOSS)):
        of_side = fills.filter(pl.col("side") == side)
        source = ColumnDataSource({name: of_side[name].to_numpy() for name in of_side.columns})
        marks = plot.scatter(
            "bar_opened_at",
            "price",
            source=source,
            marker=marker,
            size=11,
            fill_color=color,
            line_color=TEXT,
            line_width=0.8,
            legend_label=side,
        )
        tips = [
            (side, "@quantity{0,0.####} at @price{0,0.00##}"),
            ("commission", "@commission{0,0.00}"),
            ("order", "@order_id"),
        ]
        plot.add_tools(HoverTool(renderers=[marks], tooltips=tips, mode="mouse", visible=False))


def _equity_plot(result: Result, x_range: Range1d, cursor: Span) -> figure:
    source = _equity_source(result)
    plot = _figure(x_range, cursor, height=190, title=f"Equity, {_currency(result)}")
    start = result.stats.start_equity
    plot.varea("opened_at", y1=start, y2="equity", source=source, color=ACCENT, alpha=0.15)
    line = plot.line("opened_at", "equity", source=source, color=ACCENT, line_width=1.6)
    plot.add_layout(Span(location=start, dimension="width", line_color=MUTED, line_dash="dotted"))
    follow_time(plot, source, low="equity", high="equity")
    plot.add_tools(_hover([line], ["equity", "cash", "position_value"], time=_time_form(result)))
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0")
    return plot


def _drawdown_plot(result: Result, x_range: Range1d, cursor: Span) -> figure:
    plot = _figure(x_range, cursor, height=140, title="Drawdown")
    source = _equity_source(result)
    plot.varea("opened_at", y1=0, y2="drawdown", source=source, color=LOSS, alpha=0.25)
    line = plot.line("opened_at", "drawdown", source=source, color=LOSS, line_width=1.2)
    follow_time(plot, source, low="drawdown", high="drawdown")
    plot.add_tools(_hover([line], ["drawdown"], time=_time_form(result), form="0.00%"))
    plot.yaxis.formatter = NumeralTickFormatter(format="0.[0]%")
    return plot


def _equity_source(result: Result) -> ColumnDataSource:
    equity = result.equity
    bucket = -(-equity.height // _POINTS)
    if bucket > 1:
        equity = equity.group_by(bucket=pl.int_range(pl.len()) // bucket, maintain_order=True).agg(
            pl.col("opened_at", "cash", "position_value", "equity").last(), pl.col("drawdown").min()
        )
    names = ("opened_at", "cash", "position_value", "equity", "drawdown")
    return ColumnDataSource({name: equity[name].to_numpy() for name in names})


def _figure(
    x_range: Range1d, cursor: Span, *, height: int, title: str, scale: Literal["linear", "log"] = "linear"
) -> figure:
    plot = figure(
        x_axis_type="datetime",
        y_axis_type=scale,
        x_range=x_range,
        height=height,
        title=Title(text=title, text_color=TEXT, text_font=FONT, text_font_size="13px"),
        tools="xpan,xwheel_zoom,xbox_zoom,reset,save",
        active_drag="xpan",
        active_scroll="xwheel_zoom",
        # Otherwise Bokeh drops points during zooming.
        lod_threshold=None,
        background_fill_color=BACKGROUND,
        border_fill_color=BACKGROUND,
        outline_line_color=None,
        sizing_mode="stretch_width",
        min_border_left=70,
    )
    plot.add_tools(CrosshairTool(overlay=cursor))
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.grid.grid_line_color = LINE
    plot.grid.grid_line_alpha = 0.7
    plot.xaxis.formatter = _TICKS.clone()
    plot.axis.axis_line_color = LINE
    plot.axis.major_tick_line_color = LINE
    plot.axis.minor_tick_line_color = None
    plot.axis.major_label_text_color = MUTED
    plot.axis.major_label_text_font = FONT
    return plot


def _hover(renderers: list[DataRenderer], names: list[str], *, time: str, form: str = "0,0.00##") -> HoverTool:
    tips = [("", f"@opened_at{{{time}}}"), *((name.replace("_", " "), f"@{{{name}}}{{{form}}}") for name in names)]
    return HoverTool(
        renderers=renderers,
        tooltips=tips,
        formatters={"@opened_at": "datetime"},
        mode="vline",
        point_policy="follow_mouse",
    )


def _dress_legend(plot: figure) -> None:
    plot.legend.location = "top_left"
    plot.legend.orientation = "horizontal"
    plot.legend.click_policy = "hide"
    plot.legend.background_fill_color = BACKGROUND
    plot.legend.background_fill_alpha = 0.7
    plot.legend.border_line_color = None
    plot.legend.label_text_color = MUTED
    plot.legend.label_text_font = FONT
    plot.legend.label_text_font_size = "12px"
