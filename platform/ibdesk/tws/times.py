"""TWS's formats of an instant."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ibdesk.errors import DataError
from ibdesk.model import nanoseconds


def instant_ns(text: str, zone: str) -> int:
    """Return the instant that TWS wrote, ns UTC; `zone` applies if the text names none.

    The formats: ``1776100000`` (seconds since 1970), ``20260413`` (a day: its midnight UTC),
    ``20260413-15:27:04`` (UTC), ``20260413 15:27:04 US/Eastern`` and ``20260413  15:27:04`` (TWS's own zone).
    A zone that Python does not know (TWS on Windows may send such names) counts as TWS's own.

    Raises:
        DataError: If the text has none of these formats.
    """
    try:
        if text.isdigit():
            return _day(text) if len(text) == 8 else int(text) * 1_000_000_000
        if text[8:9] == "-":
            return nanoseconds(dt.datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=dt.UTC))
        day, clock, *named = text.split(maxsplit=2)
        local = dt.datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - zone follows
        return nanoseconds(local.replace(tzinfo=known_zone(*named, zone)))
    except ValueError as error:
        raise DataError(f"TWS sent the time {text!r}, which is not in any of its formats") from error


def known_zone(*names: str) -> ZoneInfo:
    """Return the first of the named zones that exists; the last one must."""
    *hopeful, certain = names
    for name in hopeful:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            continue
    return ZoneInfo(certain)


def utc_text(time_ns: int) -> str:
    """Return the instant in the format that TWS reads as UTC with any settings."""
    return dt.datetime.fromtimestamp(time_ns // 1_000_000_000, dt.UTC).strftime("%Y%m%d-%H:%M:%S")


def _day(text: str) -> int:
    return nanoseconds(dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC))
