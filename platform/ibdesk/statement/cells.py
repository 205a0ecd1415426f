"""Figures and times as Flex statements write them."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

# IB writes up to 12 decimals; the bounds keep a hostile file from requesting endless arithmetic.
_FIGURE = re.compile(r"[+-]?\d{1,18}(\.\d{0,18})?([eE][+-]?\d{1,2})?")
_DIGITS = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[;, T]+(\d{2}):?(\d{2})(?::?(\d{2}))?(?:\.\d+)?)?")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
# The abbreviations that IB appends to times if the query asks for them.
_ZONES = {"EST": "-0500", "EDT": "-0400", "UTC": "+0000", "GMT": "+0000", "Z": "+0000"}


class Moment(msgspec.Struct, frozen=True):
    """A time of a statement, with its zone; `is_day` means that only the day was given, and this is its beginning."""

    time: dt.datetime
    is_day: bool

    @property
    def ns(self) -> int:
        """Return the time in ns UTC."""
        return int(self.time.timestamp()) * 1_000_000_000


def figure(text: str) -> Decimal | None:
    """Return a figure; None if the cell is empty.

    Raises:
        ValueError: If the text is not a figure.
    """
    text = text.strip().replace(",", "")
    if text in ("", "--"):
        return None
    if not _FIGURE.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a figure")
    return Decimal(text)


def time_of(text: str, zone: ZoneInfo) -> Moment | None:
    """Return a time, in `zone` unless the text names its own; None if the cell is empty.

    Raises:
        ValueError: If the text is not a time.
    """
    text = text.strip()
    if not text or text == "MULTI":
        return None
    match = _DIGITS.match(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a time like 20261130;153000")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    offset = text[match.end() :].strip()
    where: dt.tzinfo = zone if not offset else _offset_of(offset)
    return Moment(dt.datetime(year, month, day, hour, minute, second, tzinfo=where), match.group(4) is None)


def _offset_of(text: str) -> dt.tzinfo:
    match = _OFFSET.fullmatch(_ZONES.get(text, text))
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a zone like -05:00 or EST: use times without a zone in the query")
    sign, hours, minutes = match.groups()
    span = dt.timedelta(hours=int(hours), minutes=int(minutes))
    return dt.timezone(-span if sign == "-" else span)
