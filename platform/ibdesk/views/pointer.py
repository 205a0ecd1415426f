"""What a live chart does under the pointer: it shows the figures of a bar, and its times stay near the data."""

from __future__ import annotations

from typing import Any

from bokeh.events import MouseLeave, MouseMove
from bokeh.models import ColumnDataSource, CustomJS, DataRange1d, Node
from bokeh.models.annotations.labels import Label
from bokeh.plotting import figure

from ibdesk.backtest import palette

# Bokeh closes a tooltip whenever the data under it grows, so a live chart writes these figures itself.
_SHOW = """
const times = source.data[time_column];
if (times.length === 0) return;
let low = 0, high = times.length - 1;
while (low < high) {
  const middle = (low + high) >> 1;
  if (times[middle] < cb_obj.x) low = middle + 1; else high = middle;
}
if (low > 0 && cb_obj.x - times[low - 1] < times[low] - cb_obj.x) low -= 1;
const time = new Date(times[low]).toISOString();
const parts = columns.map(([title, name, digits]) => {
  const value = source.data[name][low];
  const text = Number.isFinite(value)
    ? value.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits}) : missing;
  return title + " " + text;
});
label.text = time.slice(0, 10) + " " + time.slice(11, 19) + " UTC   " + parts.join("   ");
label.visible = true;
"""
# Bokeh takes the bounds of a range away that follows its newest data.
_STAY = """
const times = source.data[time_column];
const span = range.end - range.start;
if (times.length === 0 || !Number.isFinite(span)) return;
const first = times[0] - room, last = times[times.length - 1] + room;
if (range.start >= first && range.end <= last) return;
const shown = Math.min(span, last - first);
const start = Math.min(Math.max(range.start, first), last - shown);
range.setv({start: start, end: start + shown});
"""


def add_readout(
    chart: figure, source: ColumnDataSource, *, time_column: str, columns: list[tuple[str, str, int]]
) -> Label:
    """Write the point nearest to the pointer's time into the top of `chart` and return the label that holds it.

    `columns` are (title, column of `source`, decimals). `time_column` is in milliseconds since 1970 and ascending.
    """
    look: dict[str, Any] = {
        "x": Node(target="frame", symbol="left"),
        "y": Node(target="frame", symbol="top"),
        "x_offset": 8,
        "y_offset": -24,
        "anchor": "top_left",
        "text_color": palette.TEXT,
        "text_font": palette.FONT,
        "text_font_size": "11px",
        "background_fill_color": palette.SURFACE,
        "background_fill_alpha": 0.85,
        "padding": 3,
    }
    label = Label(text="", visible=False, **look)
    chart.add_layout(label)
    arguments = {"source": source, "label": label, "time_column": time_column, "columns": columns, "missing": "-"}
    chart.js_on_event(MouseMove, CustomJS(args=arguments, code=_SHOW))
    chart.js_on_event(MouseLeave, CustomJS(args={"label": label}, code="label.visible = false;"))
    return label


def keep_in_sight(times: DataRange1d, source: ColumnDataSource, *, time_column: str, room: float) -> None:
    """Bring a range of times back when the wheel or a drag leaves the points of `source` by more than `room` ms."""
    arguments = {"range": times, "source": source, "time_column": time_column, "room": room}
    stay = CustomJS(args=arguments, code=_STAY)
    times.js_on_change("start", stay)
    times.js_on_change("end", stay)
