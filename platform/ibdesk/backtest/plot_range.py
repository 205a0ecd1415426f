"""Plots whose price axis follows the visible time range, computed in the browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS, Range1d
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure

CANDLES = 400
"""The most visible bars drawn as candles; more are drawn as a line inside the band of their highs and lows."""

# The margin above and below the data, as a fraction of its height.
_ROOM = 0.06
_FOLLOW = """
const times = source.data["opened_at"];
const find = (wanted) => {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < wanted) low = middle + 1; else high = middle;
  }
  return low;
};
const first = find(x_range.start), last = find(x_range.end);
for (const renderer of candles) renderer.visible = last - first <= most;
for (const renderer of instead) renderer.visible = last - first > most;
let low = Infinity, high = -Infinity;
for (const name of columns) {
  const values = source.data[name];
  for (let i = first; i < last; i++) {
    const value = values[i];
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
}
if (low > high) return;
if (logarithmic) {
  const factor = Math.pow(high / low, room) || 1;
  y_range.setv({start: low / (factor > 1 ? factor : 1.01), end: high * (factor > 1 ? factor : 1.01)});
} else {
  const free = (high - low) * room || Math.abs(high) * 0.01 || 1;
  y_range.setv({start: low - free, end: high + free});
}
"""


def follow_time(
    plot: figure,
    source: ColumnDataSource,
    *,
    low: str,
    high: str,
    others: Sequence[str] = (),
    candles: Sequence[GlyphRenderer[Any]] = (),
    instead: Sequence[GlyphRenderer[Any]] = (),
) -> None:
    """Fit the vertical range of `plot` to the columns of `source` over the visible times, also after zooming.

    `source` has its times in `opened_at`, ascending. `candles` are shown while at most `CANDLES` points are visible,
    `instead` while more are.
    """
    columns = list(dict.fromkeys((low, high, *others)))
    logarithmic = plot.y_scale.__class__.__name__ == "LogScale"
    start, end = _around(source, columns, logarithmic=logarithmic)
    plot.y_range = Range1d(start=start, end=end)
    arguments: dict[str, Any] = {
        "source": source,
        "x_range": plot.x_range,
        "y_range": plot.y_range,
        "columns": columns,
        "candles": list(candles),
        "instead": list(instead),
        "most": CANDLES,
        "room": _ROOM,
        "logarithmic": logarithmic,
    }
    follow = CustomJS(args=arguments, code=_FOLLOW)
    plot.x_range.js_on_change("start", follow)
    plot.x_range.js_on_change("end", follow)


def _around(source: ColumnDataSource, columns: Sequence[str], *, logarithmic: bool) -> tuple[float, float]:
    """Return the vertical range of all points with a margin, as the browser computes it."""
    values = np.concatenate([np.asarray(source.data[name], dtype=float) for name in columns])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if logarithmic:
        factor = max((high / low) ** _ROOM, 1.0)
        factor = factor if factor > 1 else 1.01
        return low / factor, high * factor
    free = (high - low) * _ROOM or abs(high) * 0.01 or 1.0
    return low - free, high + free
