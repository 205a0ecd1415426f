"""The sessions of an instrument from TWS's contract details, and the end of an order's day."""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ib_async.contract import ContractDetails

from ibdesk.data.calendars.market import trading_session
from ibdesk.model import AnyInstrument, Order, TradingHours

_SPAN = re.compile(r"(\d{8}):(\d{4})-(\d{8}):(\d{4})")
_CLOSED = re.compile(r"(\d{8}):CLOSED")
_SECOND, _DAY = 1_000_000_000, dt.timedelta(days=1)
# TWS sends the sessions of six days; a text with more than this is damaged.
_MOST_SPANS = 1_000
# How many days ahead the close of an order's day is searched; no exchange rests longer.
_FAR_DAYS = 20
# The longest trading of US shares after the regular close; a DAY order that may trade then ends there.
_LATE_NS = 4 * 3600 * _SECOND

Spans = list[tuple[int, int]]


def hours_from(instrument: AnyInstrument, details: ContractDetails, at_ns: int) -> TradingHours | None:
    """Return the sessions of an instrument, None if TWS sent none that can be read."""
    try:
        zone = ZoneInfo(details.timeZoneId.partition(" ")[0])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    regular, until_regular = _spans(details.liquidHours, zone)
    extended, until_extended = _spans(details.tradingHours, zone)
    if not extended:
        extended, until_extended = regular, until_regular
    known_until_ns = min(until_regular, until_extended)
    if not known_until_ns:
        return None
    return TradingHours(instrument.id, regular=regular, extended=extended, known_until_ns=known_until_ns, at_ns=at_ns)


def _spans(text: str, zone: ZoneInfo) -> tuple[Spans, int]:
    """Return the sessions in a text like ``20261130:0930-20261130:1600;20261201:CLOSED``, and the end of its days."""
    spans, until_ns = [], 0
    for part in text.split(";")[:_MOST_SPANS]:
        span, closed = _SPAN.fullmatch(part.strip()), _CLOSED.fullmatch(part.strip())
        try:
            if span is not None:
                opens_ns, closes_ns = _instant(span[1], span[2], zone), _instant(span[3], span[4], zone)
                if closes_ns > opens_ns:
                    spans.append((opens_ns, closes_ns))
                    until_ns = max(until_ns, closes_ns)
            elif closed is not None:
                until_ns = max(until_ns, _instant(closed[1], "0000", zone) + 86_400 * _SECOND)
        except (ValueError, OverflowError):
            continue
    return _joined(sorted(spans)), until_ns


def _joined(spans: Spans) -> Spans:
    """Return sessions in order of time; those that touch are merged."""
    joined: Spans = []
    for opens_ns, closes_ns in spans:
        if joined and opens_ns <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], closes_ns)
        else:
            joined.append((opens_ns, closes_ns))
    return joined


def _instant(day: str, time: str, zone: ZoneInfo) -> int:
    """Return an instant (ns UTC); ``2400`` is the end of a day.

    Raises:
        ValueError: If there is no such day or time.
    """
    date = dt.datetime.strptime(day, "%Y%m%d").replace(tzinfo=zone)
    if time == "2400":
        return int((date + _DAY).timestamp()) * _SECOND
    return int(date.replace(hour=int(time[:2]), minute=int(time[2:])).timestamp()) * _SECOND


def day_ends_ns(order: Order, instrument: AnyInstrument, sent_ns: int) -> int | None:
    """Return when a DAY order sent at `sent_ns` ends (ns UTC), None if no coming session is known."""
    zone = ZoneInfo(instrument.session.zone)
    first = dt.datetime.fromtimestamp(sent_ns // _SECOND, zone).date()
    late_ns = _LATE_NS if order.outside_regular_hours else 0
    for ahead in range(_FAR_DAYS):
        session = trading_session(instrument, first + ahead * _DAY)
        if session is not None and session.closes_ns + late_ns > sent_ns:
            return session.closes_ns + late_ns
    return None
