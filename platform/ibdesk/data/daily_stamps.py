"""Which times are stamps of daily bars, and their dates; decided for each symbol separately."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Container, Sequence

import polars as pl

from ibdesk.data.bars import DAY_NS, OPENED_AT, distinct
from ibdesk.data.times import ZONE_QUESTION, Times, UndecidedError, localized
from ibdesk.data.trading_dates import day_begins, starts_evening_before, trading_dates
from ibdesk.model import Session

SessionOf = Callable[[str], Session | None]
# Bars whose stamps are at least this far apart last a day or longer; a day with a clock change may have 23 hours.
_DAILY = 20 * 3600 * 1_000_000_000
_LEEWAY_MINUTES = 60


def to_instants(
    times: Times,
    keys: Sequence[pl.Series],
    where: str,
    name: str,
    *,
    zone: str | None,
    day_zone: str | None,
    session_of: SessionOf,
    are_daily: Container[str] = (),
) -> tuple[pl.Series, str]:
    """Return when the bars opened, UTC, and a description of the zone; daily bars open at midnight UTC of their date.

    `zone` is for times without one; `keys` are as for `daily_dates`.

    Raises:
        UndecidedError: If times have no zone and none is given, or the date of daily bars cannot be decided.
        DataError: If a time does not exist in the zone, or is ambiguous in it.
    """
    zones = [known for known in (zone, day_zone) if known]
    dates = daily_dates(times.local, times.instant, keys, zones=zones, session_of=session_of, are_daily=are_daily)
    left = dates.is_null()
    if not left.any():
        return dates, ""
    if times.instant is not None:
        return pl.select(pl.coalesce(dates, times.instant)).to_series(), times.zone
    if zone is None:
        raise UndecidedError(f"the times in column {name} carry no zone", ZONE_QUESTION)
    local = pl.select(pl.when(left).then(times.local)).to_series()
    instants = localized(local, zone, keys[0] if keys else None, f"{where}: ").cast(OPENED_AT)
    rest = [key.filter(left) for key in keys]
    told = daily_dates(
        local.filter(left), instants.filter(left), rest, zones=zones, session_of=session_of, are_daily=are_daily
    )
    dates = dates.scatter(left.arg_true(), told)
    return pl.select(pl.coalesce(dates, instants)).to_series(), zone


def daily_dates(
    local: pl.Series,
    instant: pl.Series | None,
    keys: Sequence[pl.Series],
    *,
    zones: Sequence[str],
    session_of: SessionOf,
    are_daily: Container[str] = (),
) -> pl.Series:
    """Return midnight UTC of the date of each row that is a daily bar, and null for other rows.

    `local` holds the times as written and `instant` the same as instants, if known. Rows with equal `keys`, the first
    of which is the symbol, are decided separately: they are daily bars if they are at least 20 hours apart, or one bar
    whose symbol is in `are_daily`. Their date is that of the midnights as written, in one of `zones` or in the zone of
    the session; stamps at another time belong to the session's date.

    Raises:
        UndecidedError: If the date depends on an unknown zone.
    """
    if not keys:
        return _dates("", local, instant, zones, session_of) if _is_daily(local) else _none(local)
    rows = pl.DataFrame({f"key_{place}": key for place, key in enumerate(keys)}).with_row_index("row")
    names = [name for name in rows.columns if name != "row"]
    if all(key.n_unique() == 1 if key.null_count() else len(distinct(key)) == 1 for key in keys):
        return _dates(str(keys[0][0]), local, instant, zones, session_of) if _is_daily(local) else _none(local)
    found = _none(local)
    single: list[pl.Series] = []
    all_daily = True
    for key, part in rows.partition_by(names, as_dict=True, maintain_order=True).items():
        at, symbol = part["row"], key[0]
        if symbol is None:
            # Rows of unwanted symbols, which are dropped later.
            found = found.scatter(at, _as_dates(local[at]))
            continue
        if local[at].n_unique() == 1 and symbol not in are_daily:
            single.append(at)
        elif _is_daily(local[at]):
            dates = _dates(str(symbol), local[at], None if instant is None else instant[at], zones, session_of)
            found = found.scatter(at, dates)
        else:
            all_daily = False
    for at in single if all_daily else ():
        symbol = str(keys[0][at[0]])
        dates = _dates(symbol, local[at], None if instant is None else instant[at], zones, session_of)
        found = found.scatter(at, dates)
    return found


def _none(local: pl.Series) -> pl.Series:
    return pl.repeat(None, len(local), dtype=OPENED_AT, eager=True)


def _is_daily(times: pl.Series) -> bool:
    steps = times.diff().abs().cast(pl.Int64)
    shortest = steps.filter(steps > 0).min()
    if isinstance(shortest, int) and shortest < _DAILY:
        return False
    steps = times.unique().sort().diff().cast(pl.Int64)
    shortest = steps.filter(steps > 0).min()
    return not isinstance(shortest, int) or shortest >= _DAILY


def _dates(
    symbol: str, local: pl.Series, instant: pl.Series | None, zones: Sequence[str], session_of: SessionOf
) -> pl.Series:
    """Return midnight UTC of the dates of one symbol's daily bars; nulls if their times may stay as they are."""
    if _are_midnights(local):
        return _as_dates(local)
    if instant is None:
        return _none(local)
    session = session_of(symbol)
    for zone in (*zones, *([session.zone] if session else [])):
        there = _in_zone(instant, zone)
        if _are_midnights(there):
            return _as_dates(there)
    if session is None or instant.n_unique() == 1:
        return _none(local)
    there = _in_zone(instant, session.zone)
    if starts_evening_before(session):
        dates = _evening_dates(symbol, instant, there, session)
    else:
        _refuse_outside(symbol, instant, there, session, zones)
        dates = there.dt.date()
    return _as_dates(dates) if (dates != instant.dt.date()).any() else _none(local)


def _evening_dates(symbol: str, instant: pl.Series, there: pl.Series, session: Session) -> pl.Series:
    """Return the dates of daily bars of sessions that open on the evening before."""
    hour, minute = divmod(day_begins(session), 60)
    late = there.dt.time() >= dt.time(hour, minute)
    dates = trading_dates(instant, DAY_NS, session)
    weekdays = {day + 1 for day in session.weekdays}
    # A stamp on Friday evening is that of the close.
    closed = late & ~(there.dt.date() + dt.timedelta(days=1)).dt.weekday().is_in(weekdays)
    closed_bars = late & ~there.dt.date().dt.weekday().is_in(weekdays)
    if closed.any() and not closed_bars.any():
        return there.dt.date()
    if late.any() and not late.all():
        raise _question(symbol, there, session)
    return dates


def _refuse_outside(symbol: str, utc: pl.Series, there: pl.Series, session: Session, zones: Sequence[str]) -> None:
    """Refuse stamps outside the session that have another date in UTC; midnight belongs to its own date."""
    clocks = (
        there.dt.time()
        .to_frame("clock")
        .select(minutes=pl.col("clock").dt.hour().cast(pl.Int64) * 60 + pl.col("clock").dt.minute())["minutes"]
    )
    outside = (clocks > _LEEWAY_MINUTES) & (
        (clocks < session.opens - _LEEWAY_MINUTES) | (clocks > session.closes + _LEEWAY_MINUTES)
    )
    moved = there.dt.date() != utc.dt.date()
    if (outside & moved).any() and not zones:
        raise _question(symbol, there.filter(outside), session)


def _question(symbol: str, there: pl.Series, session: Session) -> UndecidedError:
    return UndecidedError(
        f"daily bars of {symbol} are stamped {there[0]:%H:%M} in {session.zone}, which may mean one date or the next",
        "zone='Europe/Berlin' or whichever zone has midnight then",
    )


def _in_zone(instant: pl.Series, zone: str) -> pl.Series:
    return instant.dt.convert_time_zone(zone).dt.replace_time_zone(None)


def _are_midnights(local: pl.Series) -> bool:
    return bool((local.dt.time() == dt.time()).all())


def _as_dates(dates: pl.Series) -> pl.Series:
    return dates.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").cast(OPENED_AT)
