"""Bars are missing where the market of the instrument was open: nights, pauses, weekends and holidays are no gaps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from ibdesk.data import check_bars, sample_daily_bars

MakeBars = Callable[..., pl.DataFrame]
CHICAGO, NEW_YORK = ZoneInfo("America/Chicago"), ZoneInfo("America/New_York")
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


def frame(make_bars: MakeBars, symbol: str, times: list[dt.datetime]) -> pl.DataFrame:
    times = [time.astimezone(dt.UTC) for time in times]
    return make_bars([10.0] * len(times), symbol=symbol).with_columns(
        opened_at=pl.Series(times, dtype=pl.Datetime("ns", "UTC"))
    )


def globex_hours(first: dt.date, days: int) -> list[dt.datetime]:
    """Return the opens of hourly bars of a future at the CME: 17:00 to 16:00 in Chicago, from Sunday to Friday."""
    opens = []
    for day in (first + n * DAY for n in range(days)):
        if day.weekday() < 5:
            begins = dt.datetime.combine(day - DAY, dt.time(17), CHICAGO)
            opens += [begins + n * HOUR for n in range(23)]
    return opens


def weekdays(first: dt.date, last: dt.date) -> list[dt.datetime]:
    days = (first + n * DAY for n in range((last - first).days + 1))
    return [dt.datetime.combine(day, dt.time(), dt.UTC) for day in days if day.weekday() < 5]


def test_the_daily_pause_of_a_future_is_no_gap(make_bars: MakeBars) -> None:
    bars = frame(make_bars, "ES-202403", globex_hours(dt.date(2024, 1, 8), 5))

    assert check_bars(bars, allow_gaps=False).warnings == ()


def test_an_hour_inside_the_session_of_a_future_is_a_gap(make_bars: MakeBars) -> None:
    hours = globex_hours(dt.date(2024, 1, 8), 5)
    bars = frame(make_bars, "ES-202403", hours[:10] + hours[12:])

    # The tenth hour from 17:00 on is 02:00 in Chicago, 08:00 UTC.
    sentence = "2 bars of 1 h are missing between 2024-01-08 08:00:00 UTC and 2024-01-08 11:00:00 UTC"
    assert check_bars(bars).gaps == (f"ES-202403: {sentence}",)


def test_days_that_an_hourly_file_leaves_out_are_counted_in_bars_of_the_session(make_bars: MakeBars) -> None:
    hours = [*globex_hours(dt.date(2024, 1, 8), 1), *globex_hours(dt.date(2024, 1, 11), 2)]

    (gap,) = check_bars(frame(make_bars, "ES-202403", hours)).gaps

    # Tuesday and Wednesday are missing.
    assert gap.startswith(f"ES-202403: {2 * 23} bars of 1 h are missing between 2024-01-08 21:00:00 UTC")


def test_forty_weekdays_that_are_missing_are_forty_bars(make_bars: MakeBars) -> None:
    before = weekdays(dt.date(2024, 1, 2), dt.date(2024, 1, 12))
    after = weekdays(dt.date(2024, 3, 11), dt.date(2024, 3, 15))

    (gap,) = check_bars(frame(make_bars, "AAPL", before + after)).gaps

    # From 15 January to 8 March there are 40 weekdays; New York was closed on 15 January and 19 February.
    assert gap == "AAPL: 38 bars of 1 d are missing between 2024-01-12 and 2024-03-11"
    (gap,) = check_bars(frame(make_bars, "7203.T", before + after)).gaps
    assert gap == "7203.T: 40 bars of 1 d are missing between 2024-01-12 and 2024-03-11"


def test_holidays_of_the_exchange_are_no_gaps(make_bars: MakeBars) -> None:
    closed = {dt.date(2024, 1, 15), dt.date(2024, 2, 19), dt.date(2024, 3, 29)}
    days = [time for time in weekdays(dt.date(2024, 1, 2), dt.date(2024, 4, 30)) if time.date() not in closed]

    assert check_bars(frame(make_bars, "AAPL", days), allow_gaps=False).warnings == ()
    # New York was closed after 11 September 2001 and for Hurricane Sandy; all of it is in the sample.
    assert check_bars(sample_daily_bars(), allow_gaps=False).gaps == ()


def test_one_day_that_is_missing_is_a_gap(make_bars: MakeBars) -> None:
    days = [time for time in weekdays(dt.date(2024, 1, 2), dt.date(2024, 1, 12)) if time.day != 9]

    assert check_bars(frame(make_bars, "AAPL", days)).gaps == (
        "AAPL: 1 bar of 1 d is missing between 2024-01-08 and 2024-01-10",
    )


def test_a_half_day_ends_early(make_bars: MakeBars) -> None:
    # New York closes at 13:00 on the Friday after Thanksgiving.
    opens = [
        dt.datetime.combine(day, dt.time(10 + hour), NEW_YORK)
        for day, hours in ((dt.date(2024, 11, 27), 6), (dt.date(2024, 11, 29), 3), (dt.date(2024, 12, 2), 6))
        for hour in range(hours)
    ]

    assert check_bars(frame(make_bars, "AAPL", opens), allow_gaps=False).warnings == ()


def test_a_day_that_ends_before_its_time_is_a_gap(make_bars: MakeBars) -> None:
    days = ((4, 6), (5, 6), (6, 4), (7, 6))
    opens = [dt.datetime(2024, 11, day, 10 + hour, tzinfo=NEW_YORK) for day, hours in days for hour in range(hours)]

    (gap,) = check_bars(frame(make_bars, "AAPL", opens)).gaps

    assert gap == "AAPL: 2 bars of 1 h are missing between 2024-11-06 18:00:00 UTC and 2024-11-07 15:00:00 UTC"


def test_regular_hours_of_a_future_are_no_gap_in_its_night(make_bars: MakeBars) -> None:
    days = [dt.datetime(2024, 1, day, 9, tzinfo=CHICAGO) for day in range(8, 13)]
    opens = [day + n * HOUR for day in days for n in range(6)]

    assert check_bars(frame(make_bars, "ES-202403", opens), allow_gaps=False).warnings == ()


def test_a_pause_that_recurs_belongs_to_the_market(make_bars: MakeBars) -> None:
    # Tokyo rests from 11:30 to 12:30.
    tokyo = ZoneInfo("Asia/Tokyo")
    half = dt.timedelta(minutes=30)
    opens = [
        dt.datetime.combine(day, dt.time(9), tokyo) + n * half
        for day in (dt.date(2024, 1, 9) + n * DAY for n in range(14))
        if day.weekday() < 5
        for n in (*range(5), *range(7, 12))
    ]

    assert check_bars(frame(make_bars, "7203.T", opens), allow_gaps=False).warnings == ()


def test_currencies_rest_over_the_weekend_and_at_christmas(make_bars: MakeBars) -> None:
    # From 17:00 in New York on Sunday to 17:00 on Friday, but for Christmas Day.
    first = dt.datetime(2023, 12, 17, 17, tzinfo=NEW_YORK)
    opens = [first + n * HOUR for n in range(14 * 24)]
    opens = [
        time for time in opens if (time + 7 * HOUR).weekday() < 5 and (time + 7 * HOUR).date() != dt.date(2023, 12, 25)
    ]

    assert check_bars(frame(make_bars, "EUR.USD", opens), allow_gaps=False).warnings == ()


def test_weekly_and_monthly_bars_have_no_gaps_at_holidays(make_bars: MakeBars) -> None:
    mondays = [dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + n * 7 * DAY for n in range(12)]
    shifted = [time + DAY if time.date() in {dt.date(2024, 1, 1), dt.date(2024, 1, 15)} else time for time in mondays]
    months = [dt.datetime(2024, month, 1, tzinfo=dt.UTC) for month in range(1, 13)]

    assert check_bars(frame(make_bars, "AAPL", mondays), allow_gaps=False).warnings == ()
    assert check_bars(frame(make_bars, "AAPL", shifted[2:]), allow_gaps=False).warnings == ()
    assert check_bars(frame(make_bars, "AAPL", months), allow_gaps=False).warnings == ()
    assert len(check_bars(frame(make_bars, "AAPL", months[:4] + months[5:])).gaps) == 1


@pytest.mark.parametrize("symbol", ["CL-202005", "ESH4-ESM4"])
def test_a_future_and_a_spread_may_trade_below_zero(make_bars: MakeBars, symbol: str) -> None:
    # Oil for May 2020 on 17 and 20 April.
    bars = make_bars([(20, 21, 18, 18.27), (17.73, 17.85, -40.32, -37.63)], symbol=symbol)

    assert check_bars(bars)["close"].to_list() == [18.27, -37.63]


@pytest.mark.parametrize("symbol", ["AAPL", "EUR.USD", "AAPL-20261218-C-250"])
def test_what_cannot_trade_below_zero_is_refused(make_bars: MakeBars, symbol: str) -> None:
    with pytest.raises(
        Exception, match=rf"{symbol}: row 1, .*: low is not positive \(-1\.0\); only futures and combinations"
    ):
        check_bars(make_bars([10, (10, 11, -1, 10)], symbol=symbol))


@pytest.mark.parametrize("minutes", [60, 15, 5])
@pytest.mark.parametrize("pause", [False, True])
def test_weekdays_of_a_currency_that_are_missing_are_a_gap(make_bars: MakeBars, minutes: int, *, pause: bool) -> None:
    # The week starts on Sunday at 17:00 in New York; Tuesday and Wednesday, 9 and 10 January, are not there.
    step = dt.timedelta(minutes=minutes)
    days = [dt.datetime(2024, 1, day, 17, tzinfo=NEW_YORK) for day in (2, 3, 4, 7, 10, 11)]
    opens = [begins + n * step for begins in days for n in range(24 * 60 // minutes)]
    if pause:
        opens = [time for time in opens if time.hour != 17 or time.minute >= 15 or minutes > 15]

    (gap,) = check_bars(frame(make_bars, "EUR.USD", opens)).gaps

    before = max(time for time in opens if time < dt.datetime(2024, 1, 8, 17, tzinfo=NEW_YORK)).astimezone(dt.UTC)
    after = min(time for time in opens if time > dt.datetime(2024, 1, 10, tzinfo=NEW_YORK)).astimezone(dt.UTC)
    assert f"between {before:%Y-%m-%d %H:%M}:00 UTC and {after:%Y-%m-%d %H:%M}:00 UTC" in gap
    # Two sessions of 23 hours and 45 minutes, of which an hourly bar covers the last 23 whole hours.
    count = int(gap.split()[1])
    assert 2 * 23 * 60 // minutes <= count <= 2 * 24 * 60 // minutes


@pytest.mark.parametrize("minutes", [60, 15, 1])
def test_currencies_that_are_quoted_through_their_pause_have_no_gaps(make_bars: MakeBars, minutes: int) -> None:
    step = dt.timedelta(minutes=minutes)
    days = [dt.datetime(2024, 1, day, 17, tzinfo=NEW_YORK) for day in (2, 3, 4, 7, 8, 9)]
    opens = [begins + n * step for begins in days for n in range(24 * 60 // minutes)]

    assert check_bars(frame(make_bars, "EUR.USD", opens), allow_gaps=False).warnings == ()


@pytest.mark.parametrize("days", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("symbol", "zone", "morning", "afternoon"),
    [
        ("7203.T", "Asia/Tokyo", range(540, 690), range(750, 900)),
        ("0005.HK", "Asia/Hong_Kong", range(570, 720), range(780, 960)),
    ],
)
@pytest.mark.parametrize("minutes", [5, 30])
def test_the_lunch_of_an_exchange_is_no_gap_in_a_short_file(
    make_bars: MakeBars, days: int, symbol: str, zone: str, morning: range, afternoon: range, minutes: int
) -> None:
    dates = [dt.date(2024, 1, 9) + n * DAY for n in range(days)]
    clocks = [*morning[::minutes], *afternoon[::minutes]]
    opens = [
        dt.datetime.combine(date, dt.time(*divmod(clock, 60)), ZoneInfo(zone)) for date in dates for clock in clocks
    ]

    assert check_bars(frame(make_bars, symbol, opens), allow_gaps=False).warnings == ()


def test_a_pause_on_both_days_of_a_file_is_no_gap_and_on_one_is(make_bars: MakeBars) -> None:
    days = [[dt.datetime(2024, 11, day, 10 + hour, tzinfo=NEW_YORK) for hour in range(6)] for day in (4, 5)]
    paused = [[time for time in opens if time.hour != 12] for opens in days]

    assert check_bars(frame(make_bars, "AAPL", paused[0] + paused[1]), allow_gaps=False).warnings == ()
    (gap,) = check_bars(frame(make_bars, "AAPL", days[0] + paused[1])).gaps
    assert gap.startswith("AAPL: 1 bar of 1 h is missing between 2024-11-05 16:00:00 UTC")


def test_a_hole_in_the_afternoon_beside_lunch_is_a_gap(make_bars: MakeBars) -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    clocks = [dt.time(*divmod(minute, 60)) for minute in (*range(540, 690, 5), *range(765, 900, 5))]
    opens = [dt.datetime.combine(dt.date(2024, 1, 9), clock, tokyo) for clock in clocks]

    (gap,) = check_bars(frame(make_bars, "7203.T", opens)).gaps

    assert gap.startswith("7203.T: 3 bars of 5 min are missing between 2024-01-09 02:25:00 UTC")


@pytest.mark.parametrize("days", [(2, 4), (2, 5), (8, 11)])
def test_two_daily_bars_with_a_hole_between_them_are_bars_of_a_day(make_bars: MakeBars, days: tuple[int, int]) -> None:
    bars = check_bars(frame(make_bars, "AAPL", [dt.datetime(2024, 1, day, tzinfo=dt.UTC) for day in days]))

    (gap,) = bars.gaps
    assert " of 1 d " in gap
    assert bars.interval_ns == 86_400_000_000_000
