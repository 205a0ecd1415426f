"""Bars: readers, checks, samples and trading calendars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.data.bars import Bars
    from ibdesk.data.checks import check_bars
    from ibdesk.data.content import Content
    from ibdesk.data.formats.raw import RawBars
    from ibdesk.data.formats.registry import BarFormat, bar_formats, register_format, unregister_format
    from ibdesk.data.read import as_bars, read_bars
    from ibdesk.data.sample import sample_daily_bars
    from ibdesk.data.splits import Split, adjust_for_splits
    from ibdesk.data.warnings import row_warnings

__all__ = [
    "BarFormat",
    "Bars",
    "Content",
    "RawBars",
    "Split",
    "adjust_for_splits",
    "as_bars",
    "bar_formats",
    "check_bars",
    "read_bars",
    "register_format",
    "row_warnings",
    "sample_daily_bars",
    "unregister_format",
]

__getattr__, __dir__ = at_first_use(__name__, __file__)
