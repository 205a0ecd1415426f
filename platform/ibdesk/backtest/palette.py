"""The colors and the font of all charts in reports, notebooks and the dashboard."""

from __future__ import annotations

from typing import Any

BACKGROUND = "#0d1117"
SURFACE = "#141a22"
LINE = "#262e39"
TEXT = "#d6dde6"
MUTED = "#8793a1"
GAIN = "#2bb596"
LOSS = "#ef5f5c"
ACCENT = "#5aa2f0"
WARNING = "#e3b341"
# The lines over the bars, in order of appearance.
LINES = ("#e3b341", "#5aa2f0", "#c08cf0", "#6fd0c8", "#f08cb4", "#a9b665")
FONT = "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"
# Formats of Bokeh's DatetimeTickFormatter by the distance of ticks.
TIME_TICKS: dict[str, Any] = {
    "microseconds": "%H:%M:%S",
    "milliseconds": "%H:%M:%S",
    "seconds": "%H:%M:%S",
    "minsec": "%H:%M:%S",
    "minutes": "%H:%M",
    "hourmin": "%H:%M",
    "hours": "%H:%M",
    "days": "%d %b",
    "months": "%b %Y",
    "years": "%Y",
}
