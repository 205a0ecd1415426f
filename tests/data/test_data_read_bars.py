"""Files of bars, whatever their headers say, and what is wrong with those that cannot be read."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from ibdesk.data import read_bars
from ibdesk.errors import DataError

GOOD = "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,10,12,9,11,5,100\n2024-01-03,11,12,10,12,6,200\n"


def _file(folder: Path, text: str, name: str = "AAPL.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_daily_file_is_read_by_its_usual_headers(tmp_path: Path) -> None:
    bars = read_bars(_file(tmp_path, GOOD))

    assert bars.frame.row(0) == ("AAPL", dt.datetime(2024, 1, 2, tzinfo=dt.UTC), 10, 12, 9, 11, 100)
    assert len(bars) == 2


def test_the_symbol_may_be_given_and_the_volume_missing(tmp_path: Path) -> None:
    text = "timestamp,o,h,l,c\n2024-01-02 09:30:00,10,12,9,11\n2024-01-02 09:31:00,11,12,10,12\n"

    bars = read_bars(_file(tmp_path, text), symbol="EUR.USD", zone="America/New_York")

    assert bars.frame.row(0) == ("EUR.USD", dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC), 10, 12, 9, 11, 0)


def test_times_that_carry_a_zone_are_taken_at_their_word(tmp_path: Path) -> None:
    text = "time,open,high,low,close\n2024-01-02T09:30:00-05:00,1,1,1,1\n2024-01-02T09:31:00-05:00,1,1,1,1\n"

    bars = read_bars(_file(tmp_path, text), zone="Asia/Tokyo")

    assert bars["opened_at"][0] == dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)


def test_what_was_written_as_parquet_comes_back(tmp_path: Path) -> None:
    bars = read_bars(_file(tmp_path, GOOD))
    bars.frame.write_parquet(tmp_path / "bars.parquet")

    assert read_bars(tmp_path / "bars.parquet").frame.equals(bars.frame)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("11,12,10", "eleven,12,10"), "row 1, column Open: 'eleven' is not a number"),
        (GOOD.replace(",10,12,9,11", ",10,12,9,"), "row 0, column Close: empty is not a number"),
        (GOOD.replace("2024-01-03", "3 January"), "row 1, column Date: '3 January' is not a date or time"),
        (GOOD.replace("11,12,10", "NaN,12,10"), "row 1, column Open: empty is not a number"),
        (GOOD.replace("2024-01-03", "2024-01-02"), "AAPL: row 1, 2024-01-02: the bar is the second of this"),
        (GOOD.replace("Close,", "Price,", 1), "lacks close (close, c, last): its columns are Date, Open"),
        ("", "cannot be read as a table"),
        (GOOD + "2024-01-04,1,2,3,4,5,6,7,8,9\n", "cannot be read as a table"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_row_and_column(tmp_path: Path, text: str, sentence: str) -> None:
    path = _file(tmp_path, text)

    with pytest.raises(DataError) as caught:
        read_bars(path)

    assert str(caught.value).startswith(str(path))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gaps_are_errors_unless_allowed(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-02 09:{minute}:00,1,1,1,1\n" for minute in (30, 31, 32, 36))
    path = _file(tmp_path, "date,open,high,low,close\n" + rows)

    with pytest.raises(DataError, match="3 bars of 1 min are missing between 2024-01-02 14:32:00 UTC"):
        read_bars(path, zone="America/New_York")
    assert len(read_bars(path, zone="America/New_York", allow_gaps=True)) == 4


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read: No such file"):
        read_bars(tmp_path / "none.csv")
