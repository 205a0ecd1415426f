"""Profit over time, of everything together and of each strategy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bokeh.models import ColumnDataSource, DataRange1d, NumeralTickFormatter
from bokeh.models.annotations.geometry import Span
from bokeh.models.annotations.legends import LegendItem
from bokeh.plotting import figure

from ibdesk.backtest import palette
from ibdesk.store.feed import Row
from ibdesk.views import theme
from ibdesk.views.pointer import add_readout, keep_in_sight

_COLUMNS = ("at", "pnl", "gain", "loss")
_ALL = ""
# How far the wheel and a drag may leave the first and the last point.
_ROOM_MILLISECONDS = 60_000.0


class EquityChart:
    """The profit line with its area, green above zero and red below; `figure` is the Bokeh chart to show.

    Profit is published when it changes, so the line goes in steps. Owners get a thin line of their own once there
    are two of them; at most `kept` points a line.
    """

    def __init__(self, *, kept: int = 3_000) -> None:
        self._kept = kept
        self._total = ColumnDataSource({name: [] for name in _COLUMNS})
        self._owners: dict[str, ColumnDataSource] = {}
        self._owner_lines: list[Any] = []
        self.figure = self._frame()
        self._draw_total()
        self._draw_tag()

    def stream(self, rows: Iterable[Row]) -> None:
        """Take rows of the feed's equity topic; those not newer than the last point are left out."""
        by_owner: dict[str, dict[int, float]] = {}
        for row in rows:
            if row["pnl"] is not None:
                by_owner.setdefault(row["owner"], {})[row["at_ns"]] = row["pnl"]
        for owner, points in by_owner.items():
            source = self._total if owner == _ALL else self._owners.get(owner) or self._add_owner(owner)
            self._append(source, points)
        if by_owner.get(_ALL):
            self._show_last()

    def _append(self, source: ColumnDataSource, points: dict[int, float]) -> None:
        known = source.data["at"]
        newest = known[-1] if len(known) else float("-inf")
        fresh = [(theme.milliseconds(at), points[at]) for at in sorted(points) if theme.milliseconds(at) > newest]
        if not fresh:
            return
        columns: dict[str, Any] = {"at": [at for at, _ in fresh], "pnl": [pnl for _, pnl in fresh]}
        if source is self._total:
            columns["gain"] = [max(pnl, 0.0) for _, pnl in fresh]
            columns["loss"] = [min(pnl, 0.0) for _, pnl in fresh]
        source.stream(columns, self._kept)

    def _show_last(self) -> None:
        if not len(self._total.data["pnl"]):
            return
        pnl = self._total.data["pnl"][-1]
        self._tag.y, self._tag.text = pnl, theme.profit(pnl)
        self._tag.background_fill_color = palette.LOSS if pnl < 0 else palette.GAIN
        self._tag.visible = True

    def _frame(self) -> figure:
        times = DataRange1d(range_padding=0.05)
        chart = figure(
            x_axis_type="datetime",
            x_range=times,
            y_range=DataRange1d(range_padding=0.15, min_interval=2),
            y_axis_location="right",
            tools="xpan,xwheel_zoom,reset",
            active_drag="xpan",
            sizing_mode="stretch_both",
            min_height=150,
        )
        keep_in_sight(times, self._total, time_column="at", room=_ROOM_MILLISECONDS)
        theme.dress(chart)
        self._legend = theme.legend()
        self._legend.visible = False
        chart.add_layout(self._legend)
        chart.yaxis.formatter = NumeralTickFormatter(format="0,0")
        return chart

    def _draw_total(self) -> None:
        self.figure.add_layout(Span(dimension="width", location=0, line_color=palette.MUTED, line_width=1))
        for column, color in (("gain", palette.GAIN), ("loss", palette.LOSS)):
            self.figure.varea_step(
                "at", y1=0, y2=column, source=self._total, step_mode="after", color=color, alpha=0.16
            )
        self.figure.step("at", "pnl", source=self._total, mode="after", color=palette.TEXT, line_width=1.6)
        add_readout(self.figure, self._total, time_column="at", columns=[("P&L", "pnl", 2)])

    def _draw_tag(self) -> None:
        self._tag = theme.axis_tag(palette.GAIN)
        self.figure.add_layout(self._tag)

    def _add_owner(self, owner: str) -> ColumnDataSource:
        source = self._owners[owner] = ColumnDataSource({"at": [], "pnl": []})
        color = palette.LINES[(len(self._owners) - 1) % len(palette.LINES)]
        line: Any = self.figure.step("at", "pnl", source=source, mode="after", color=color, line_width=1, alpha=0.8)
        self._owner_lines.append(line)
        self._legend.items = [*self._legend.items, LegendItem(label=owner, renderers=[line])]
        # The line of a single owner is that of everything.
        for shown in (self._legend, *self._owner_lines):
            shown.visible = len(self._owners) > 1
        return source
