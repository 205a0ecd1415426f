"""The price of one instrument: bars, the indicators a strategy decided on, and where it bought and sold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from bokeh.models import ColumnDataSource, CrosshairTool, DataRange1d, Node, NumeralTickFormatter, Range1d
from bokeh.models.annotations.geometry import BoxAnnotation, Span
from bokeh.models.annotations.legends import LegendItem
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

from ibdesk.backtest import palette
from ibdesk.store.feed import Row
from ibdesk.views import theme
from ibdesk.views.pointer import add_readout, keep_in_sight

_BAR_COLUMNS = ("opened", "open", "high", "low", "close", "volume", "top", "bottom", "color")
_FILL_COLUMNS = ("at", "price", "side", "quantity", "color", "marker")
# The share of the chart's height that the tallest volume column may take.
_VOLUME_SHARE = 5.0
# The wheel stops when so few bars are in sight.
_FEWEST_SHOWN = 10


class PriceChart:
    """Bars of one length of one instrument; `figure` is the Bokeh chart to show.

    It opens on the newest `shown` bars and follows them until the reader pans or zooms; the reset tool follows
    again. At most `kept` bars and indicator values are held by the browser.
    """

    def __init__(self, symbol: str, interval_ns: int, *, shown: int = 120, kept: int = 3_000) -> None:
        self.symbol, self.interval_ns = symbol, interval_ns
        self._kept = kept
        self._digits = theme.price_digits(symbol)
        self._form = "0,0." + "0" * self._digits
        self._bars = ColumnDataSource({name: [] for name in _BAR_COLUMNS})
        self._fills = ColumnDataSource({name: [] for name in _FILL_COLUMNS})
        self._lines: dict[tuple[str, str], ColumnDataSource] = {}
        self._marked: set[str] = set()
        self._shown = shown
        self.figure = self._frame()
        self._draw_volume()
        self._draw_bars()
        self._draw_fills()
        self._draw_last_price()

    def stream_bars(self, rows: Iterable[Row]) -> None:
        """Take closed bars; those of another symbol or length, and those known already, are left out."""
        mine = {
            row["opened_ns"]: row
            for row in rows
            if row["symbol"] == self.symbol and row["interval_ns"] == self.interval_ns
        }
        columns = _columns(_BAR_COLUMNS, [_bar(mine[opened]) for opened in sorted(mine)])
        if not _stream_in_order(self._bars, "opened", columns, self._kept):
            return
        volumes = [v for v in self._bars.data["volume"][-self._shown :] if math.isfinite(v)]
        tallest = max(volumes, default=0.0) or 1.0
        self._volume_range.end = tallest * _VOLUME_SHARE

    def stream_indicators(self, rows: Iterable[Row]) -> None:
        """Take indicator values of this symbol; the first value of a name adds its line to the chart."""
        by_line: dict[tuple[str, str], dict[int, Row]] = {}
        for row in rows:
            if row["symbol"] == self.symbol:
                by_line.setdefault((row["run_id"], row["name"]), {})[row["opened_ns"]] = row
        for key, values in by_line.items():
            source = self._lines.get(key) or self._add_line(key)
            points = [(theme.milliseconds(at), _number(values[at]["value"])) for at in sorted(values)]
            _stream_in_order(source, "opened", _columns(("opened", "value"), points), self._kept)

    def mark_fills(self, rows: Iterable[Row]) -> None:
        """Mark fills of this symbol: a triangle up where we bought, down where we sold."""
        points = []
        for row in rows:
            if row["symbol"] == self.symbol and row["execution_id"] not in self._marked:
                self._marked.add(row["execution_id"])
                points.append(_fill(row))
        if points:
            self._fills.stream(_columns(_FILL_COLUMNS, points), self._kept)

    def show_last_price(self, price: float | None) -> None:
        """Move the dashed line and its tag to the newest price."""
        if price is None or self._last.location == price:
            return
        self._last.location = self._tag.y = price
        self._tag.text = theme.price(price, self._digits)
        self._last.visible = self._tag.visible = True

    def _frame(self) -> figure:
        bar = self.interval_ns / 1e6
        self._times = DataRange1d(
            follow="end",
            follow_interval=self._shown * bar,
            # Room on the right for the tag of the last price.
            range_padding=self._shown / 12 * bar,
            range_padding_units="absolute",
            default_span=self._shown * bar,
            min_interval=_FEWEST_SHOWN * bar,
            max_interval=self._kept * bar,
        )
        keep_in_sight(self._times, self._bars, time_column="opened", room=self._shown * bar)
        self._prices = DataRange1d(range_padding=0.12)
        chart = figure(
            x_axis_type="datetime",
            x_range=self._times,
            y_range=self._prices,
            y_axis_location="right",
            window_axis="x",
            tools="xpan,xwheel_zoom,reset",
            active_drag="xpan",
            active_scroll="xwheel_zoom",
            # Bokeh would thin out the points while one zooms.
            lod_threshold=None,
            sizing_mode="stretch_both",
            min_height=240,
        )
        theme.dress(chart)
        chart.yaxis.formatter = NumeralTickFormatter(format=self._form)
        self._volume_range = Range1d(start=0, end=1)
        chart.extra_y_ranges = {"volume": self._volume_range}
        chart.add_tools(
            CrosshairTool(line_color=palette.MUTED, line_alpha=0.5, line_width=1, dimensions="both"),
        )
        self._legend = theme.legend()
        chart.add_layout(self._legend)
        return chart

    def _draw_volume(self) -> None:
        self.figure.vbar(
            x="opened",
            top="volume",
            bottom=0,
            width=self.interval_ns / 1e6 * 0.7,
            y_range_name="volume",
            source=self._bars,
            color="color",
            alpha=0.16,
            line_color=None,
        )

    def _draw_bars(self) -> None:
        wicks = self.figure.segment(
            x0="opened", x1="opened", y0="low", y1="high", source=self._bars, color="color", line_width=1
        )
        bodies = self.figure.vbar(
            x="opened",
            top="top",
            bottom="bottom",
            width=self.interval_ns / 1e6 * 0.7,
            source=self._bars,
            fill_color="color",
            line_color=None,
        )
        # Bokeh draws bars that are out of sight clipped at the frame, where their edges would add up to a line.
        edge = Node(target="frame", symbol="left", offset=-1)
        inside = Node(target="frame", symbol="left", offset=1)
        self.figure.add_layout(
            BoxAnnotation(
                left=edge, right=inside, fill_color=palette.SURFACE, fill_alpha=1, line_color=None, level="overlay"
            )
        )
        # The ranges follow the bars alone: a marker or an indicator on another scale must not flatten the prices.
        self._times.renderers, self._prices.renderers = [bodies], [wicks]
        add_readout(
            self.figure,
            self._bars,
            time_column="opened",
            columns=[
                *((name, name.lower(), self._digits) for name in ("Open", "High", "Low", "Close")),
                ("Volume", "volume", 0),
            ],
        )

    def _draw_fills(self) -> None:
        markers = self.figure.scatter(
            x="at",
            y="price",
            marker="marker",
            size=12,
            source=self._fills,
            fill_color="color",
            line_color=palette.BACKGROUND,
            line_width=1.5,
        )
        self.figure.add_tools(
            theme.hover(
                [("@side", "@quantity{0,0.[0000]} at @price{0,0.00[000]}"), ("", "@at{%d %b %H:%M:%S} UTC")],
                renderers=[markers],
            )
        )

    def _draw_last_price(self) -> None:
        self._last = Span(
            dimension="width", location=0, line_color=palette.ACCENT, line_dash="dotted", line_width=1, visible=False
        )
        self._tag = theme.axis_tag(palette.ACCENT)
        self.figure.add_layout(self._last)
        self.figure.add_layout(self._tag)

    def _add_line(self, key: tuple[str, str]) -> ColumnDataSource:
        source = self._lines[key] = ColumnDataSource({"opened": [], "value": []})
        color = palette.LINES[(len(self._lines) - 1) % len(palette.LINES)]
        line: GlyphRenderer[Any] = self.figure.line(
            "opened", "value", source=source, color=color, line_width=1.6, alpha=0.9
        )
        run_id, name = key
        same_name = sum(1 for _, other in self._lines if other == name)
        label = name if same_name == 1 else f"{name} ({run_id})"
        self._legend.items = [*self._legend.items, LegendItem(label=label, renderers=[line])]
        return source


def _bar(row: Row) -> tuple[Any, ...]:
    opened, closed = row["open"], row["close"]
    # A body without height would not be seen: one that closes where it opened is drawn as a thin stroke.
    stroke = 0.0 if opened != closed else (row["high"] - row["low"]) * 0.02 or abs(closed) * 2e-5
    return (
        theme.milliseconds(row["opened_ns"]),
        *(_number(row[name]) for name in ("open", "high", "low", "close", "volume")),
        max(opened, closed) + stroke,
        min(opened, closed) - stroke,
        palette.GAIN if closed >= opened else palette.LOSS,
    )


def _fill(row: Row) -> tuple[Any, ...]:
    bought = row["side"] == "buy"
    return (
        theme.milliseconds(row["at_ns"]),
        row["price"],
        "Bought" if bought else "Sold",
        row["quantity"],
        "#4fe0bb" if bought else "#ff8a80",
        "triangle" if bought else "inverted_triangle",
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _columns(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {name: list(column) for name, column in zip(names, columns, strict=True)}


def _stream_in_order(source: ColumnDataSource, time_column: str, columns: dict[str, Any], kept: int) -> bool:
    """Append rows sorted by time; rows older than what is there are merged in. Return whether anything changed."""
    times, known = columns[time_column], source.data[time_column]
    if times and len(known) and times[0] <= known[-1]:
        return _merge(source, time_column, columns, kept)
    if times:
        source.stream(columns, kept)
    return bool(times)


def _merge(source: ColumnDataSource, time_column: str, columns: dict[str, Any], kept: int) -> bool:
    """Put late rows (an earlier history, or rows sent again) in their place; the rare case, so all is sent anew."""
    known = set(source.data[time_column])
    late = [i for i, at in enumerate(columns[time_column]) if at not in known]
    if not late:
        return False
    joined = {name: [*source.data[name], *(columns[name][i] for i in late)] for name in columns}
    order = sorted(range(len(joined[time_column])), key=joined[time_column].__getitem__)[-kept:]
    source.data = {name: [values[i] for i in order] for name, values in joined.items()}
    return True
