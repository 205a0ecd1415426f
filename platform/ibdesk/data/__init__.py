"""Bars in and out: readers, checks, samples and trading calendars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.lazy import at_first_use

if TYPE_CHECKING:
    from ibdesk.data.bars import CheckedBars, check_bars
    from ibdesk.data.read import read_bars
    from ibdesk.data.sample import sample_daily_bars

__all__ = ["CheckedBars", "check_bars", "read_bars", "sample_daily_bars"]

__getattr__, __dir__ = at_first_use(__name__, __file__)
