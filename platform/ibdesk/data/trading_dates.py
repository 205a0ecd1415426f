"""The trading date of a bar: the day of its instrument's session, which may differ from its date in UTC."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import polars as pl

from ibdesk.data.bars import DAY_NS, INTERVAL
from ibdesk.model import Session

_DAY_MINUTES = 1440
_SHORT_PAUSE_MINUTES = 15


def trading_dates(opened_at: pl.Series, interval_ns: int, session: Session) -> pl.Series:
    """Return the trading date (Date) of each bar of one instrument; `opened_at` is Datetime(ns, UTC).

    A bar belongs to the session in which it ends. A session that opens in the evening belongs to the date on which it
    closes, so Sunday evening is Monday. Bars of a day or longer that open at midnight UTC have that date; at another
    time they belong to the session in which they open.
    """
    if interval_ns >= DAY_NS:
        if (opened_at.dt.time() == dt.time()).all():
            return opened_at.dt.date()
        dates = _session_dates(opened_at, session)
        return pl.select(
            pl.when(opened_at.dt.time() == dt.time()).then(opened_at.dt.date()).otherwise(dates)
        ).to_series()
    return _session_dates(opened_at + dt.timedelta(microseconds=(interval_ns - 1) // 1000), session)


def starts_evening_before(session: Session) -> bool:
    """Return whether a session opens on the evening before its date."""
    return session.opens > 0 and session.closes <= session.opens


def day_begins(session: Session) -> int:
    """Return the minute after local midnight from which a time belongs to the next date, for evening sessions.

    A pause of a few minutes, like that of currencies from 17:00 to 17:15 in New York, belongs to the session after it.
    """
    return session.closes if session.opens - session.closes <= _SHORT_PAUSE_MINUTES else session.opens


def _session_dates(times: pl.Series, session: Session) -> pl.Series:
    local = times.dt.convert_time_zone(session.zone).dt.replace_time_zone(None)
    if not starts_evening_before(session):
        return local.dt.date()
    dates = (local + dt.timedelta(minutes=_DAY_MINUTES - day_begins(session))).dt.date()
    # Trades before the week's first session belong to it.
    days_ahead = {day + 1: _days_to_session(day, session.weekdays) for day in range(7)}
    ahead = dates.dt.weekday().replace_strict(days_ahead, return_dtype=pl.Int32)
    return (dates.to_physical() + ahead).cast(pl.Date)


def last_bars_of_days(bars: pl.DataFrame, dates: pl.Series) -> pl.DataFrame:
    """Return `symbol` and `opened_at` of each symbol's last bar of a trading date, sorted by time.

    `bars` has the columns of a bar frame, sorted by time; `dates` has the trading date of each row.
    """
    dated = bars.select("symbol", "opened_at", date=dates)
    if dated["symbol"].n_unique() == 1:
        return dated.filter(pl.col("date").ne_missing(pl.col("date").shift(-1))).drop("date")
    return dated.filter(pl.col("date").ne_missing(pl.col("date").shift(-1).over("symbol"))).drop("date")


def dates_of_rows(bars: pl.DataFrame, sessions: Mapping[str, Session], interval_ns: int) -> pl.Series:
    """Return the trading date of each row of a bar frame, by the session of its symbol.

    `interval_ns` is the length of all bars of a frame without a column `interval`.
    """
    if INTERVAL in bars.columns:
        rows = bars.with_row_index("row")
        parts = [
            part.select("row", date=dates_of_rows(part.drop(INTERVAL), sessions, part[INTERVAL].to_physical()[0]))
            for part in rows.partition_by(INTERVAL)
        ]
        return pl.concat(parts).sort("row")["date"]
    different = list(dict.fromkeys(sessions.values()))
    if len(different) == 1:
        return trading_dates(bars["opened_at"], interval_ns, different[0]).rename("date")
    found = pl.Series("date", [None] * bars.height, dtype=pl.Date)
    for session in different:
        of_session = bars["symbol"].is_in([name for name, theirs in sessions.items() if theirs == session])
        dates = trading_dates(bars["opened_at"].filter(of_session), interval_ns, session)
        found = found.scatter(of_session.arg_true(), dates)
    return found


def dates_of_times(bars: pl.DataFrame, dates: pl.Series) -> pl.Series:
    """Return the trading date of each bar time, one row per time; if symbols differ, the latest, never going back."""
    if bars["symbol"].n_unique() == 1:
        return dates
    return (
        pl.DataFrame({"opened_at": bars["opened_at"], "date": dates})
        .group_by("opened_at", maintain_order=True)
        .agg(pl.col("date").max())["date"]
        .cum_max()
    )


def _days_to_session(day: int, weekdays: tuple[int, ...]) -> int:
    return next((ahead for ahead in range(7) if (day + ahead) % 7 in weekdays), 0)
