"""The missing bars, by the sessions of the instruments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from ibdesk.data.bars import DAY_NS, OPENED_AT, shown, span
from ibdesk.data.calendars.market import ANY_HOURS, has_holidays, trading_session
from ibdesk.data.calendars.trading_session import instant_ns
from ibdesk.data.intervals import CALENDAR_SLACK
from ibdesk.data.trading_dates import day_begins, starts_evening_before, trading_dates
from ibdesk.model import AnyInstrument, Index, Option, Session, Stock

# Exchanges with unknown holidays may close for a week; New York did in September 2001.
_LONGEST_REST_DAYS = 5
# A pause that recurs on this fraction of the days, of at least this many days, belongs to the market.
_RECURS, _DAYS_TO_RECUR = 0.5, 5
_WEEK_NS = 5 * DAY_NS
_DAY = dt.timedelta(days=1)
# The lunch breaks of exchanges, by the zone of their session.
_LUNCHES = {
    "Asia/Tokyo": (dt.time(11, 30), dt.time(12, 30)),
    "Asia/Hong_Kong": (dt.time(12), dt.time(13)),
    "Asia/Shanghai": (dt.time(11, 30), dt.time(13)),
}
_Integers = npt.NDArray[np.int64]


def find_gaps(
    steps: pl.DataFrame, intervals: Mapping[str, int], instruments: Mapping[str, AnyInstrument | None]
) -> list[str]:
    """Return a sentence for each place with missing bars.

    Bars of a day are missing on trading days of the instrument's calendar; if its holidays are unknown, if more than a
    week of weekdays has no bar. Bars within a day are missing inside the instrument's session, as far as the file
    covers it: from the usual first bar of its days to the usual last one, without pauses that recur on most days.
    `steps` is the table of `check_bars`.
    """
    found: list[tuple[int, str]] = []
    for (symbol,), part in steps.partition_by("symbol", as_dict=True, maintain_order=True).items():
        interval, instrument = intervals[symbol], instruments[symbol]
        if interval >= _WEEK_NS:
            rows = _long_gaps(part, interval)
        elif interval >= DAY_NS * CALENDAR_SLACK:
            rows = _daily_gaps(part, instrument)
        else:
            rows = _intraday_gaps(part, interval, instrument)
        found += [(row, f"{symbol}: {text}") for row, text in _told(rows, interval)]
    return [text for _, text in sorted(found)]


def _told(rows: Iterable[tuple[int, int, dt.datetime, dt.datetime]], interval: int) -> Iterator[tuple[int, str]]:
    length = span(DAY_NS if DAY_NS * CALENDAR_SLACK <= interval < DAY_NS else interval)
    for row, count, before, after in rows:
        bars = f"{count} bars of {length} are" if count > 1 else f"1 bar of {length} is"
        yield row, f"{bars} missing between {shown(before)} and {shown(after)}"


def _long_gaps(steps: pl.DataFrame, interval: int) -> Iterator[tuple[int, int, dt.datetime, dt.datetime]]:
    """Yield row, number of missing bars, and the times around each gap in weekly and longer bars."""
    for step in steps.filter(pl.col("step") > interval * 1.6).iter_rows(named=True):
        yield step["row"], round(step["step"] / interval) - 1, step["before"], step["opened_at"]


def _daily_gaps(
    steps: pl.DataFrame, instrument: AnyInstrument | None
) -> Iterator[tuple[int, int, dt.datetime, dt.datetime]]:
    far = steps.filter(pl.col("step") > DAY_NS / CALENDAR_SLACK)
    if far.is_empty():
        return
    hours = ANY_HOURS if instrument is None else instrument.session
    before, after = (trading_dates(far[name], DAY_NS, hours) for name in ("before", "opened_at"))
    days = np.array([day for day, _, _ in _trading_days(instrument, pl.concat([before, after]))], "datetime64[D]")
    counts = np.searchsorted(days, after.to_numpy()) - np.searchsorted(days, before.to_numpy(), side="right")
    allowed = 0 if has_holidays(instrument) else _LONGEST_REST_DAYS
    for index in np.flatnonzero(counts > allowed):
        step = far.row(int(index), named=True)
        yield step["row"], int(counts[index]), step["before"], step["opened_at"]


def _trading_days(instrument: AnyInstrument | None, days: pl.Series) -> Iterator[tuple[dt.date, int, int]]:
    """Yield date, opening and close (ns UTC) of the sessions between the first and the last of some dates."""
    first, last = days.sort()[[0, -1]]
    for ahead in range((last - first).days + 1):
        session = trading_session(instrument, first + ahead * _DAY)
        if session is not None:
            yield first + ahead * _DAY, session.opens_ns, session.closes_ns


def _without_lunch(
    sessions: Iterable[tuple[dt.date, int, int]], instrument: AnyInstrument | None
) -> Iterator[tuple[dt.date, int, int]]:
    """Yield the parts of sessions before and after the exchange's lunch break, or whole sessions if there is none."""
    lunch = _LUNCHES.get(instrument.session.zone) if isinstance(instrument, Stock | Option | Index) else None
    if instrument is None or lunch is None:
        yield from sessions
        return
    zone = ZoneInfo(instrument.session.zone)
    for day, opens, closes in sessions:
        begins, ends = (instant_ns(day, clock, zone) for clock in lunch)
        yield from (
            ((day, opens, min(begins, closes)), (day, max(ends, opens), closes))
            if ends < closes
            else ((day, opens, min(begins, closes)),)
        )


def _intraday_gaps(
    steps: pl.DataFrame, interval: int, instrument: AnyInstrument | None
) -> Iterator[tuple[int, int, dt.datetime, dt.datetime]]:
    hours = ANY_HOURS if instrument is None else instrument.session
    ahead = _ahead(hours)
    far = steps.filter(pl.col("step") > interval)
    for name, time in (("before", "before"), ("at", "opened_at")):
        days = trading_dates(far[time], interval, hours)
        local = (far[time].dt.convert_time_zone(hours.zone).dt.replace_time_zone(None) + ahead).cast(pl.Datetime("ns"))
        clocks = local.cast(pl.Int64) - days.cast(pl.Datetime("ns")).cast(pl.Int64)
        far = far.with_columns(days.alias(f"{name}_day"), clocks.alias(f"{name}_clock"))
    within = far.filter(pl.col("before_day") == pl.col("at_day"))
    across = far.filter(pl.col("before_day") != pl.col("at_day"))
    # Most days decide the usual length of the file's days; that needs at least two.
    usual_first, usual_last = _median(across["at_clock"], 0), _median(across["before_clock"], DAY_NS)
    recurring = within.group_by("before_clock", "at_clock").len()
    often = recurring.filter((pl.col("len") > across.height * _RECURS) & (across.height >= _DAYS_TO_RECUR))
    if across.height < _DAYS_TO_RECUR and (recurring["len"] > 1).any():
        times = pl.concat([steps["before"], steps["opened_at"].tail(1)])
        dates = trading_dates(times, interval, hours).n_unique()
        often = recurring.filter(pl.col("len") == max(dates, 2))
    within = within.join(often, on=["before_clock", "at_clock"], how="anti")
    rows = pl.concat([within, across]).sort("row")
    if rows.is_empty():
        return
    days_around = pl.concat([rows["before_day"], rows["at_day"]])
    sessions = list(_without_lunch(_trading_days(instrument, days_around), instrument))
    if not sessions:
        return
    midnights = _midnights([day for day, _, _ in sessions], hours.zone, ahead)
    opens = np.maximum(np.array([opened for _, opened, _ in sessions]), midnights + usual_first)
    closes = np.minimum(np.array([closed for _, _, closed in sessions]), midnights + usual_last + interval)
    counts = _missing(rows, opens, np.maximum(opens, closes), interval)
    if not has_holidays(instrument):
        rest = (pl.col("at_day") - pl.col("before_day")).dt.total_days()
        short = rows.select((rest > 1) & (rest <= _LONGEST_REST_DAYS + 2)).to_series().to_numpy()
        counts[short] = 0
    for index in np.flatnonzero(counts > 0):
        step = rows.row(int(index), named=True)
        yield step["row"], int(counts[index]), step["before"], step["opened_at"]


def _ahead(hours: Session) -> dt.timedelta:
    """Return how long before midnight the times of the next date begin."""
    return dt.timedelta(minutes=1440 - day_begins(hours)) if starts_evening_before(hours) else dt.timedelta()


def _median(clocks: pl.Series, otherwise: int) -> int:
    return int(np.sort(clocks.to_numpy())[len(clocks) // 2]) if len(clocks) else otherwise


def _midnights(days: list[dt.date], zone: str, ahead: dt.timedelta) -> _Integers:
    """Return the instants from which the clock times of trading days are counted, ns UTC."""
    local = pl.Series(days, dtype=pl.Date).cast(pl.Datetime("ns")) - ahead
    instants = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    return instants.fill_null(strategy="forward").cast(OPENED_AT).to_physical().to_numpy()


def _missing(rows: pl.DataFrame, opens: _Integers, closes: _Integers, interval: int) -> _Integers:
    """Return how many bars fit into the open time between the bars of each row."""
    starts = rows["before"].to_physical().to_numpy() + interval
    ends = rows["opened_at"].to_physical().to_numpy()
    whole = np.concatenate([[0], np.cumsum((closes - opens) // interval)])
    first = np.searchsorted(closes, starts, side="right")
    last = np.searchsorted(opens, ends, side="left") - 1
    counts = np.zeros(len(rows), np.int64)
    inside = first <= last
    low, high = first[inside], last[inside]
    one = low == high
    head = (np.minimum(closes[low], ends[inside]) - np.maximum(opens[low], starts[inside])) // interval
    tail = (np.minimum(closes[high], ends[inside]) - opens[high]) // interval
    between = whole[high] - whole[np.minimum(low + 1, high)]
    counts[inside] = np.where(one, np.maximum(head, 0), np.maximum(head, 0) + between + np.maximum(tail, 0))
    return counts
