"""Dates and times: the order of day and month, zones, days that belong to a date, and hours that come twice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ibdesk.data import Bars, read_bars
from ibdesk.errors import DataError

NEW_YORK = "America/New_York"


def read(folder: Path, times: Sequence[str], **said: Any) -> Bars:
    path = folder / "AAPL.csv"
    path.write_text("Date;Open;High;Low;Close\n" + "".join(f"{time};1;1;1;1\n" for time in times))
    return read_bars(path, **{"allow_gaps": True, **said})


def times_of(bars: Bars) -> list[str]:
    return [f"{time:%Y-%m-%d %H:%M}" for time in bars["opened_at"]]


@pytest.mark.parametrize(
    ("times", "first"),
    [
        # A row shows that the month comes first, or the day.
        (["01/12/2024", "01/16/2024"], "2024-01-12"),
        (["12/01/2024", "16/01/2024"], "2024-01-12"),
        (["1/12/2024", "1/16/2024"], "2024-01-12"),
        (["01-12-2024", "01-16-2024"], "2024-01-12"),
        # Between dots the day comes first, in every country.
        (["02.01.2024", "03.01.2024"], "2024-01-02"),
        (["2024-01-02", "2024-01-03"], "2024-01-02"),
        (["2024/01/02", "2024/01/03"], "2024-01-02"),
        (["2024.01.02", "2024.01.03"], "2024-01-02"),
        (["2024/1/2", "2024/1/3"], "2024-01-02"),
        (["20240102", "20240103"], "2024-01-02"),
        (["Jan 02, 2024", "Jan 03, 2024"], "2024-01-02"),
        (["January 2, 2024", "January 3, 2024"], "2024-01-02"),
        (["02-Jan-2024", "03-Jan-2024"], "2024-01-02"),
        (["2 Jan 2024", "3 Jan 2024"], "2024-01-02"),
        (["Tue, Jan 2, 2024", "Wed, Jan 3, 2024"], "2024-01-02"),
        (["2024-01-02 00:00:00", "2024-01-03 00:00:00"], "2024-01-02"),
        (["2024-01-02T00:00:00.000", "2024-01-03T00:00:00.000"], "2024-01-02"),
        # A daily bar belongs to the date that is written, whatever its offset makes of it in UTC.
        (["2024-01-02 00:00:00+02:00", "2024-01-03 00:00:00+02:00"], "2024-01-02"),
        (["2024-01-02 00:00:00-05:00", "2024-01-03 00:00:00-05:00"], "2024-01-02"),
        (["2024-03-08 00:00:00-05:00", "2024-03-11 00:00:00-04:00"], "2024-03-08"),
        (["1704153600", "1704240000"], "2024-01-02"),
        (["1704153600000", "1704240000000"], "2024-01-02"),
    ],
)
def test_a_daily_bar_belongs_to_its_date(tmp_path: Path, times: list[str], first: str) -> None:
    assert times_of(read(tmp_path, times))[0] == f"{first} 00:00"


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_midnight_in_summer_time_is_that_day(tmp_path: Path, zone: str | None) -> None:
    times = ["2021-06-30 00:00:00+02:00", "2021-07-01 00:00:00+02:00"]

    assert times_of(read(tmp_path, times, zone=zone)) == ["2021-06-30 00:00", "2021-07-01 00:00"]


def test_midnight_in_the_zone_that_is_given_is_that_day(tmp_path: Path) -> None:
    bars = read(tmp_path, ["2021-06-29T22:00:00Z", "2021-06-30T22:00:00Z"], zone="Europe/Berlin")

    assert times_of(bars) == ["2021-06-30 00:00", "2021-07-01 00:00"]


@pytest.mark.parametrize(
    ("times", "said", "first"),
    [
        (["2024-01-02 09:30", "2024-01-02 09:31"], {"zone": NEW_YORK}, "14:30"),
        (["2024-07-02 09:30:00.500", "2024-07-02 09:31:00.500"], {"zone": NEW_YORK}, "13:30"),
        (["01/16/2024 9:30 AM", "01/16/2024 1:31 PM"], {"zone": NEW_YORK}, "14:30"),
        (["01/16/2024 12:00:00 AM", "01/16/2024 12:01:00 AM"], {"zone": "UTC"}, "00:00"),
        (["20240102 093000", "20240102 093100"], {"zone": NEW_YORK}, "14:30"),
        (["20240102  09:30:00", "20240102  09:31:00"], {"zone": NEW_YORK}, "14:30"),
        (["20240102-14:30:00", "20240102-14:31:00"], {"zone": "UTC"}, "14:30"),
        (["202401020930", "202401020931"], {"zone": NEW_YORK}, "14:30"),
        (["20240102093000", "20240102093100"], {"zone": NEW_YORK}, "14:30"),
        # Times that carry a zone need none.
        (["20240102 09:30:00 US/Eastern", "20240102 09:31:00 US/Eastern"], {}, "14:30"),
        (["20240102 09:30:00 America/New_York", "20240102 09:31:00 America/New_York"], {}, "14:30"),
        (["20240102 9:30 AM America/New_York", "20240102 9:31 AM America/New_York"], {}, "14:30"),
        (["2024-01-02 16:30:00 Pacific/Apia", "2024-01-02 16:31:00 Pacific/Apia"], {}, "03:30"),
        (["20240102 15:30:00 MET", "20240102 15:31:00 MET"], {}, "14:30"),
        (["2024-01-02 09:30:00 EST", "2024-01-02 09:31:00 EST"], {}, "14:30"),
        (["2024-07-02 09:30:00 EDT", "2024-07-02 09:31:00 EDT"], {}, "13:30"),
        (["2024-01-02T14:30:00Z", "2024-01-02T14:31:00Z"], {}, "14:30"),
        (["2024-01-02 14:30 UTC", "2024-01-02 14:31 UTC"], {}, "14:30"),
        (["2024-01-02 09:30:00-0500", "2024-01-02 09:31:00-0500"], {"zone": "Asia/Tokyo"}, "14:30"),
        (["02.01.2024 15:30:00.000 GMT+0100", "02.01.2024 15:31:00.000 GMT+0100"], {}, "14:30"),
        (["1704205800", "1704205860"], {}, "14:30"),
        (["1704205800000", "1704205860000"], {}, "14:30"),
        (["1704205800000000", "1704205860000000"], {}, "14:30"),
        (["1704205800000000000", "1704205860000000000"], {}, "14:30"),
        (["1704205800.0", "1704205860.0"], {}, "14:30"),
    ],
)
def test_a_time_is_an_instant(tmp_path: Path, times: list[str], said: dict[str, Any], first: str) -> None:
    assert times_of(read(tmp_path, times, **said))[0] in {
        f"2024-{date} {first}" for date in ("01-02", "01-16", "07-02")
    }


@pytest.mark.parametrize(
    ("times", "said", "sentence"),
    [
        (
            ["01/02/2024", "02/02/2024"], {},
            "dates like '01/02/2024' may have the month or the day first: say which with date_order='mdy' or 'dmy'",
        ),
        (
            ["01/13/2024", "14/01/2024"], {},
            "row 1 has the day first ('14/01/2024') and row 0 the month ('01/13/2024'): write all dates in one order",
        ),
        (["01/13/2024", "01/14/2024"], {"date_order": "dmy"}, "row 0, column Date: '01/13/2024' is not a date in"),
        (["01/02/24", "01/16/24"], {}, "date_order='mdy', 'dmy' or 'ymd'"),
        (["2024-01-02 09:30", "2024-01-02 09:31"], {}, "the times in column Date carry no zone: say which with zone="),
        (["2024-01-02 09:30", "2024-01-02 09:31"], {"zone": "New York"}, "there is no time zone 'New York'"),
        (["2024-01-02", "today"], {}, "row 1, column Date: 'today' is not a date or time"),
        (["2024-02-30", "2024-03-01"], {}, "row 0, column Date: '2024-02-30' is not a date or time"),
        (["20240102", "2024010"], {}, "row 1, column Date: '2024010' is not a date or time"),
        (["20241302", "20241303"], {}, "row 0, column Date: '20241302' is not a date or time"),
        (["45293", "45294"], {}, "row 0, column Date: 45293 is not a date"),
        (["2024-01-02 09:30Z", "2024-01-02 09:31"], {}, "'2024-01-02 09:31' carries no zone, other rows do"),
    ],
)  # fmt: skip
def test_what_may_be_read_in_two_ways_is_not_guessed(
    tmp_path: Path, times: list[str], said: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, times, **said)

    assert sentence in str(caught.value)


def test_dates_that_show_nothing_are_read_in_the_order_given(tmp_path: Path) -> None:
    times = ["01/02/2024", "01/03/2024"]

    assert times_of(read(tmp_path, times, date_order="mdy"))[0] == "2024-01-02 00:00"
    assert times_of(read(tmp_path, times, date_order="dmy"))[0] == "2024-02-01 00:00"
    assert times_of(read(tmp_path, ["01/02/24", "01/03/24"], date_order="mdy"))[0] == "2024-01-02 00:00"


def test_monthly_dates_are_not_taken_for_days(tmp_path: Path) -> None:
    bars = read(tmp_path, ["01/01/2024", "01/02/2024", "01/03/2024", "01/04/2024"], date_order="dmy")

    # February 2024 has 29 days, the shortest of the steps.
    assert bars.interval_ns == 29 * 86_400_000_000_000


# ---- clocks that change ----------------------------------------------------------------------------------------------

# In New York 01:00 to 02:00 comes twice on 3 November 2024, first at 05:00 UTC and then at 06:00.
AUTUMN = ["2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 01:00", "2024-11-03 02:00"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_an_hour_that_the_file_has_twice_is_two_instants(tmp_path: Path, *, newest_first: bool) -> None:
    bars = read(tmp_path, AUTUMN[::-1] if newest_first else AUTUMN, zone=NEW_YORK)

    assert [time[11:] for time in times_of(bars)] == ["04:00", "05:00", "06:00", "07:00"]


def test_minutes_of_both_passes_are_told_apart_by_their_order(tmp_path: Path) -> None:
    minutes = [f"2024-11-03 01:{minute}" for minute in ("30", "31", "33", "30", "31", "32")]

    bars = read(tmp_path, minutes, zone=NEW_YORK)

    assert [time[11:] for time in times_of(bars)] == ["05:30", "05:31", "05:33", "06:30", "06:31", "06:32"]


def test_an_hour_that_the_file_has_once_may_be_either(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: 2024-11-03 01:00 comes twice in America/New_York.*write the times"):
        read(tmp_path, ["2024-11-03 00:00", "2024-11-03 01:00", "2024-11-03 02:00"], zone=NEW_YORK)


def test_a_time_that_the_clocks_leave_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: 2024-03-10 02:30 does not exist in America/New_York.*zone='UTC'"):
        read(tmp_path, ["2024-03-10 01:30", "2024-03-10 02:30", "2024-03-10 03:30"], zone=NEW_YORK)


def test_days_of_23_and_25_hours_are_days(tmp_path: Path) -> None:
    day = dt.date(2024, 3, 1)
    stamps = [f"{day + dt.timedelta(days=n)} 16:00" for n in range(30) if (day + dt.timedelta(days=n)).weekday() < 5]

    bars = read(tmp_path, stamps, zone=NEW_YORK, allow_gaps=False)

    assert times_of(bars)[0] == "2024-03-01 21:00"
    # From the 8th to the 11th of March there are three days less one hour; the steps of other days are 24 hours.
    assert bars.interval_ns == 86_400_000_000_000
