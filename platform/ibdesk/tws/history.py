"""Past bars: the terms of requests to TWS, and its answers as frames."""

from __future__ import annotations

import datetime as dt
import math

import polars as pl
from ib_async.objects import BarData

from ibdesk.data.calendars.market import trading_session
from ibdesk.errors import HistoryError
from ibdesk.model import AnyInstrument, Session, moment
from ibdesk.tws.figures import is_known, known
from ibdesk.tws.times import instant_ns

_SECOND = 1_000_000_000
_DAY = 86_400

# TWS's bar sizes up to a day, by seconds; longer ones follow the calendar.
_BAR_SIZES = {
    1: "1 secs",
    5: "5 secs",
    10: "10 secs",
    15: "15 secs",
    30: "30 secs",
    60: "1 min",
    120: "2 mins",
    180: "3 mins",
    300: "5 mins",
    600: "10 mins",
    900: "15 mins",
    1200: "20 mins",
    1800: "30 mins",
    3600: "1 hour",
    7200: "2 hours",
    10800: "3 hours",
    14400: "4 hours",
    28800: "8 hours",
    _DAY: "1 day",
}
# The longest trading of shares after the regular close, and the longest rest of an exchange.
_LATE_NS, _LONGEST_REST_DAYS = 4 * 3600 * _SECOND, 20
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String,
    "opened_at": pl.Datetime("ns", "UTC"),
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
}


def bar_size(interval_ns: int) -> str:
    """Return TWS's name of a bar size.

    Raises:
        HistoryError: If TWS does not serve bars of this length.
    """
    seconds, rest = divmod(interval_ns, _SECOND)
    if rest or seconds not in _BAR_SIZES:
        raise HistoryError(
            f"TWS has no history in bars of {interval_ns / _SECOND:g} s: it has {', '.join(_BAR_SIZES.values())}"
        )
    return _BAR_SIZES[seconds]


def duration(seconds: float) -> str:
    """Return a span in TWS's form: seconds up to a day, days up to a year, then years, rounded up."""
    if seconds <= _DAY:
        return f"{max(1, math.ceil(seconds))} S"
    days = math.ceil(seconds / _DAY)
    return f"{days} D" if days <= 365 else f"{math.ceil(days / 365)} Y"


def seconds_for(count: int, interval_ns: int, session: Session) -> float:
    """Return a span that holds at least `count` bars of regular sessions.

    TWS counts seconds and days of trading, so bars of less than a minute need only their own length. Longer ones are
    requested in calendar days, including nights, weekends and some holidays; the caller cuts the answer to `count`.
    """
    interval = interval_ns / _SECOND
    if interval < 60:
        return (count + 1) * interval
    length = ((session.closes - session.opens) % 1440 or 1440) * 60
    sessions = math.ceil(count * min(interval, length) / length)
    weeks = sessions / len(session.weekdays)
    return (math.ceil(weeks * 7) + 4) * _DAY


def longest_span(interval_ns: int) -> float:
    """Return the seconds of such bars that TWS sends in one answer (IB's table of durations and bar sizes)."""
    seconds = interval_ns // _SECOND
    for at_least, span in ((3600, 365 * _DAY), (60, 30 * _DAY), (30, 28_800), (10, 14_400), (5, 3_600)):
        if seconds >= at_least:
            return span
    return 1_800


def end_before(instrument: AnyInstrument, end_ns: int, span: float, *, regular_hours_only: bool) -> int:
    """Return the end of the page before one without bars, ns UTC: `span` seconds earlier, or the close before that.

    TWS answers "no data" for a span in which the market was closed, even if there are bars before it.
    """
    at_ns = end_ns - int(span * _SECOND)
    late_ns = 0 if regular_hours_only else _LATE_NS
    day = moment(at_ns).date() + dt.timedelta(days=1)
    for _ in range(_LONGEST_REST_DAYS):
        session = trading_session(instrument, day)
        if session is not None and session.opens_ns < at_ns:
            return min(at_ns, session.closes_ns + late_ns)
        day -= dt.timedelta(days=1)
    return at_ns


def no_bars() -> pl.DataFrame:
    """Return a bar frame without rows."""
    return pl.DataFrame(schema=_SCHEMA)


def frame_of(
    bars: list[BarData], instrument: AnyInstrument, *, interval_ns: int, end_ns: int, zone: str
) -> pl.DataFrame:
    """Return the bars that were complete at `end_ns`, oldest first, in the columns of a bar frame.

    A day's bar opens at midnight UTC of its date. Bars of midpoints have no volume: 0.

    Raises:
        HistoryError: If a bar lacks a price.
    """
    rows = sorted(
        (instant_ns(str(bar.date), zone), bar.open, bar.high, bar.low, bar.close, _volume(bar)) for bar in bars
    )
    lacking = [row for row in rows if not all(is_known(known(price)) for price in row[1:5])]
    if lacking:
        raise HistoryError(f"TWS sent {len(lacking)} bars of {instrument.id} without a price: ask for another span")
    complete = [(instrument.id, *row) for row in rows if row[0] + interval_ns <= end_ns]
    return pl.DataFrame(complete, schema=_SCHEMA, orient="row")


def _volume(bar: BarData) -> float:
    volume = known(bar.volume)
    return volume if volume > 0 else 0.0
