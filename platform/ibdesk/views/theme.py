"""Colors, fonts and number formats: one dark look for every chart, table and figure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from bokeh.models import DatetimeTickFormatter, HoverTool, Node
from bokeh.models.annotations.labels import Label
from bokeh.models.annotations.legends import Legend
from bokeh.plotting import figure

from ibdesk.backtest import palette

MISSING = "–"  # noqa: RUF001 - a dash, as tables of prices print it

_TIME_TICKS = DatetimeTickFormatter(**palette.TIME_TICKS)


def price_digits(symbol: str) -> int:
    """Return the decimals of this instrument's displayed prices: 2, or for forex 5 (3 in yen)."""
    base, dot, quote = symbol.partition(".")
    if dot and len(base) == len(quote) == 3:
        return 3 if quote == "JPY" else 5
    return 2


def price(value: float | None, digits: int = 2) -> str:
    """Format a price, or a dash if it is unknown."""
    return MISSING if _unknown(value) else f"{value:,.{digits}f}"


def quantity(value: float | None, *, signed: bool = False) -> str:
    """Format a number of shares or contracts without trailing zeros."""
    if _unknown(value):
        return MISSING
    text = f"{value:+,.4f}" if signed and value else f"{value:,.4f}"
    return text.rstrip("0").rstrip(".")


def money(value: float | None) -> str:
    """Format an amount of money without a plus sign, such as a balance or commission."""
    return MISSING if _unknown(value) else f"{value:,.2f}"


def profit(value: float | None) -> str:
    """Format a profit with its sign; an amount that rounds to zero has none."""
    if _unknown(value):
        return MISSING
    text = f"{value:+,.2f}"
    return "0.00" if text in {"+0.00", "-0.00"} else text


def percent(value: float | None) -> str:
    """Format a ratio as a signed percentage: 0.0042 as +0.42%."""
    return MISSING if _unknown(value) else f"{value:+.2%}"


def clock_time(at_ns: int | None) -> str:
    """Format a time (ns UTC) as date and time of day in UTC; the text sorts by time."""
    if not at_ns:
        return MISSING
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(at_ns: int) -> str:
    """Format a time (ns UTC) as time of day in UTC."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M:%S")


def sign_class(value: float | None) -> str:
    """Return the CSS class that colors a profit: "gain", "loss" or none."""
    text = profit(value)
    return {"+": "gain", "-": "loss"}.get(text[0], "")


def milliseconds(at_ns: int) -> float:
    """Convert a time (ns UTC) to milliseconds since 1970, as Bokeh's axes require."""
    return at_ns / 1e6


def dress(chart: figure) -> None:
    """Apply the common style to a chart: dark, thin grid, prices on the right, UTC times below."""
    chart.background_fill_color = chart.border_fill_color = palette.SURFACE
    chart.outline_line_color = None
    chart.min_border_left, chart.min_border_top = 10, 8
    chart.grid.grid_line_color, chart.grid.grid_line_alpha = palette.LINE, 0.7
    chart.axis.axis_line_color = chart.axis.major_tick_line_color = palette.LINE
    chart.axis.minor_tick_line_color = None
    chart.axis.major_label_text_color = palette.MUTED
    chart.axis.major_label_text_font = palette.FONT
    chart.axis.major_label_text_font_size = "11px"
    chart.xaxis.formatter = _TIME_TICKS
    chart.toolbar.logo = None
    chart.toolbar.autohide = True


def hover(rows: list[tuple[str, str]], **options: Any) -> HoverTool:
    """Return a hover tool with these (label, Bokeh field) rows."""
    lines = "".join(
        f'<div style="display:flex;justify-content:space-between;gap:14px">'
        f'<span style="color:{palette.MUTED}">{label}</span><span>{field}</span></div>'
        for label, field in rows
    )
    box = f'<div style="font:11px {palette.FONT};font-variant-numeric:tabular-nums">{lines}</div>'
    return HoverTool(tooltips=box, formatters={"@at": "datetime", "@opened": "datetime"}, **options)


def legend() -> Legend:
    """Return an empty one-line legend above a chart; a click on a name hides its line."""
    return Legend(
        items=[],
        location="top_left",
        orientation="horizontal",
        background_fill_alpha=0.0,
        border_line_color=None,
        label_text_color=palette.TEXT,
        label_text_font=palette.FONT,
        label_text_font_size="11px",
        margin=2,
        spacing=14,
        glyph_width=14,
        click_policy="hide",
    )


def axis_tag(color: str) -> Label:
    """Return a hidden label that marks a value at a chart's right edge; move it with `y` and `text`."""
    look: dict[str, Any] = {
        "x": Node(target="frame", symbol="right"),
        "x_offset": -2,
        "anchor": "center_right",
        "text_color": palette.BACKGROUND,
        "text_font": palette.FONT,
        "text_font_size": "11px",
        "text_font_style": "bold",
        "background_fill_color": color,
        "padding": 3,
        "border_radius": 2,
    }
    return Label(y=0, text="", visible=False, **look)


def _unknown(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
