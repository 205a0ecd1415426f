"""Daily bars belong to the date of their market, whatever zone their stamps are written in."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ibdesk.data import Bars, read_bars
from ibdesk.data.trading_dates import trading_dates
from ibdesk.errors import DataError
from ibdesk.model import instrument_of

DAY_NS = 86_400_000_000_000


def read(folder: Path, rows: list[str], **said: Any) -> Bars:
    path = folder / "bars.csv"
    path.write_text("Symbol,Date,Open,High,Low,Close\n" + "".join(f"{row},1,1,1,1\n" for row in rows))
    return read_bars(path, **{"allow_gaps": True, **said})


def shown(bars: Bars, symbol: str) -> list[str]:
    id = instrument_of(symbol).id  # noqa: A001 - the word for it
    return [f"{time:%Y-%m-%d %H:%M}" for time in bars.frame.filter(pl.col("symbol") == id)["opened_at"]]


@pytest.mark.parametrize(
    ("symbol", "stamps", "dates"),
    [
        # Midnight in Tokyo, in Berlin in summer and winter, in London across the change of clocks, in New York.
        ("7203.T", ["2021-09-28T15:00:00Z", "2021-09-29T15:00:00Z"], ["2021-09-29", "2021-09-30"]),
        ("SAP.DE", ["2021-06-29T22:00:00Z", "2021-06-30T22:00:00Z"], ["2021-06-30", "2021-07-01"]),
        ("SAP.DE", ["2024-03-27T23:00:00Z", "2024-04-01T22:00:00Z"], ["2024-03-28", "2024-04-02"]),
        ("VOD.L", ["2024-03-28T00:00:00Z", "2024-04-01T23:00:00Z"], ["2024-03-28", "2024-04-02"]),
        ("AAPL", ["2024-03-08T05:00:00Z", "2024-03-11T04:00:00Z"], ["2024-03-08", "2024-03-11"]),
        # The open in Sydney lies on the day before in UTC in summer; an offset that is not the market's.
        ("BHP.AX", ["2024-01-01T23:00:00Z", "2024-01-02T23:00:00Z"], ["2024-01-02", "2024-01-03"]),
        ("7203.T", ["2021-09-28 11:00:00-04:00", "2021-09-29 11:00:00-04:00"], ["2021-09-29", "2021-09-30"]),
        # Globex opens at 17:00 in Chicago for the next date, currencies at 17:00 in New York.
        ("ES-202403", ["2024-01-01T23:00:00Z", "2024-01-02T23:00:00Z"], ["2024-01-02", "2024-01-03"]),
        ("ES-202403", ["2024-03-07T23:00:00Z", "2024-03-10T22:00:00Z"], ["2024-03-08", "2024-03-11"]),
        ("EUR.USD", ["2024-01-07T22:00:00Z", "2024-01-08T22:00:00Z"], ["2024-01-08", "2024-01-09"]),
        # Stamped at the close, up to Friday evening.
        ("EUR.USD", ["2024-07-04T21:00:00Z", "2024-07-05T21:00:00Z"], ["2024-07-04", "2024-07-05"]),
    ],
)
def test_a_daily_stamp_in_utc_has_the_date_of_its_market(
    tmp_path: Path, symbol: str, stamps: list[str], dates: list[str]
) -> None:
    bars = read(tmp_path, [f"{symbol},{stamp}" for stamp in stamps])

    assert [time[:10] for time in shown(bars, symbol)] == dates


def test_a_stamp_that_may_mean_either_date_is_asked_for(tmp_path: Path) -> None:
    # 07:00 in Tokyo is no midnight there, and before the session.
    rows = ["7203.T,2021-09-28T22:00:00Z", "7203.T,2021-09-29T22:00:00Z"]

    with pytest.raises(DataError, match=r"of 7203@TSEJ are stamped 07:00 in Asia/Tokyo.*zone='Europe"):
        read(tmp_path, rows)
    assert shown(read(tmp_path, rows, zone="Europe/Berlin"), "7203.T") == ["2021-09-29 00:00", "2021-09-30 00:00"]


def test_daily_bars_keep_their_date_beside_minutes(tmp_path: Path) -> None:
    minutes = [f"MSFT,2024-01-02 09:{minute}" for minute in (30, 31, 32)]
    days = ["sap.de,2024-01-02", "sap.de,2024-01-03"]

    bars = read(tmp_path, minutes + days, zone="America/New_York", interval={"msft": "1 min", "SAP.DE": "1 day"})

    assert shown(bars, "SAP.DE") == ["2024-01-02 00:00", "2024-01-03 00:00"]
    assert shown(bars, "MSFT")[0] == "2024-01-02 14:30"


def test_instants_of_daily_bars_keep_their_date_beside_minutes(tmp_path: Path) -> None:
    minutes = [f"MSFT,2024-01-02T14:{minute}:00Z" for minute in (30, 31, 32)]
    days = ["SAP.DE,2024-01-01T23:00:00Z", "SAP.DE,2024-01-02T23:00:00Z"]

    bars = read(tmp_path, minutes + days, interval={"MSFT": "1 min", "sap.de": "1 day"})

    assert shown(bars, "SAP.DE") == ["2024-01-02 00:00", "2024-01-03 00:00"]


@pytest.mark.parametrize("split", ["7203.T 2021-09-29 5:1", "7203@tsej 2021-09-29 5:1", "7203.t 2021-09-29 5:1"])
def test_a_split_takes_any_spelling_and_cuts_at_the_date_of_the_market(tmp_path: Path, split: str) -> None:
    path = tmp_path / "7203.T.csv"
    rows = ("2021-09-27T15:00:00Z,50,50,50,50", "2021-09-28T15:00:00Z,10,10,10,10", "2021-09-29T15:00:00Z,10,10,10,10")
    path.write_text("Date,Open,High,Low,Close\n" + "\n".join(rows) + "\n")

    assert read_bars(path, splits=[split])["close"].to_list() == [10, 10, 10]


def test_a_split_cuts_intraday_bars_at_the_date_of_the_market(tmp_path: Path) -> None:
    # Sydney opens at 10:00, on 2 January at 23:00 UTC of the day before.
    path = tmp_path / "BHP.AX.csv"
    rows = [f"2024-01-01T{hour}:00:00Z,5,5,5,5" for hour in (22, 23)] + ["2024-01-02T00:00:00Z,5,5,5,5"]
    path.write_text("Date,Open,High,Low,Close\n" + "\n".join(rows) + "\n")

    bars = read_bars(path, splits=["bhp.ax 2024-01-02 2:1"], allow_gaps=True)

    assert bars["close"].to_list() == [5, 5, 5]


@pytest.mark.parametrize(
    ("symbol", "stamp", "date"),
    [
        ("7203.T", dt.datetime(2021, 9, 28, 15, tzinfo=dt.UTC), dt.date(2021, 9, 29)),
        ("ES-202403", dt.datetime(2024, 1, 1, 23, tzinfo=dt.UTC), dt.date(2024, 1, 2)),
        ("EUR.USD", dt.datetime(2024, 1, 7, 22, tzinfo=dt.UTC), dt.date(2024, 1, 8)),
        ("AAPL", dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.date(2024, 1, 2)),
        ("AAPL", dt.datetime(2024, 1, 2, 21, tzinfo=dt.UTC), dt.date(2024, 1, 2)),
    ],
)
def test_the_trading_date_of_a_daily_bar_is_the_market_s(symbol: str, stamp: dt.datetime, date: dt.date) -> None:
    times = pl.Series([stamp], dtype=pl.Datetime("ns", "UTC"))

    assert trading_dates(times, DAY_NS, instrument_of(symbol).session).to_list() == [date]


def test_one_bar_that_is_declared_to_last_a_day_keeps_its_date_beside_minutes(tmp_path: Path) -> None:
    rows = [f"MSFT,2024-01-02 09:{minute}" for minute in (30, 31, 32)] + ["SAP.DE,2024-01-02"]

    bars = read(tmp_path, rows, zone="America/New_York", interval={"msft": "1 min", "sap.de": "1 day"})

    assert shown(bars, "SAP.DE") == ["2024-01-02 00:00"]
