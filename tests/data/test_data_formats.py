"""Files as vendors write them are recognized by what is in them, and every price and time is the right one."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ibdesk.data import Bars, read_bars
from ibdesk.errors import DataError

FILES = Path(__file__).parent / "files"
NEW_YORK = "America/New_York"
Row = tuple[Any, ...]


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]  # year, month, day, hour, minute


class Case(NamedTuple):
    """A file, what has to be said about it, and what then comes out."""

    file: str
    said: dict[str, Any]
    format: str
    symbol: str
    rows: int
    seconds: int
    first: Row


# Half past nine in New York on 2 January 2024 is 14:30 UTC; HistData's 17:00 EST on 1 January is 22:00 UTC.
CASES = [
    Case(
        "AAPL_first_nohdr.csv", {"zone": NEW_YORK}, "headerless", "AAPL", 3, 60,
        (utc(2024, 1, 2, 9), 187.15, 187.35, 186.5, 186.9, 12345),
    ),
    Case(
        "AAPL_first_nohdr.csv", {"format": "firstrate"}, "firstrate", "AAPL", 3, 60,
        (utc(2024, 1, 2, 9), 187.15, 187.35, 186.5, 186.9, 12345),
    ),
    Case("AAPL_yf_hist.csv", {}, "yahoo", "AAPL", 3, 86400, (utc(2024, 1, 2), 187, 188.2, 183.5, 185.1, 82488700)),
    Case(
        "AlphaVantage.csv", {"symbol": "IBM"}, "alphavantage", "IBM", 3, 86400,
        (utc(2024, 1, 2), 187.15, 188.44, 183.885, 185.64, 82488670),
    ),
    Case(
        "DAT_ASCII_EURUSD_M1_202401.csv", {"symbol": "EUR.USD"}, "histdata", "EUR.USD", 3, 60,
        (utc(2024, 1, 1, 22), 1.10427, 1.10429, 1.10425, 1.10429, 0),
    ),
    Case(
        "EURUSD_M1_mt5.csv", {"symbol": "EUR.USD", "zone": "Europe/Athens"}, "metatrader", "EUR.USD", 3, 60,
        (utc(2024, 1, 1, 22), 1.10428, 1.10433, 1.10423, 1.1043, 41),
    ),
    Case(
        "EURUSD_duka.csv", {"symbol": "EUR.USD"}, "dukascopy", "EUR.USD", 3, 60,
        (utc(2024, 1, 2), 1.10428, 1.10433, 1.10423, 1.1043, 41.25),
    ),
    Case(
        "HistoricalData_nasdaq_na.csv", {"symbol": "SPX"}, "nasdaq", "SPX", 3, 86400,
        (utc(2024, 1, 2), 4745.2, 4754.33, 4722.67, 4742.83, 0),
    ),
    Case(
        "IBM_kibot.txt", {"format": "kibot"}, "kibot", "IBM", 3, 60,
        (utc(2024, 1, 2, 14, 30), 162.83, 163.1, 162.5, 162.9, 120345),
    ),
    Case(
        "IBM_kibot.txt", {"zone": NEW_YORK, "date_order": "mdy"}, "kibot", "IBM", 3, 60,
        (utc(2024, 1, 2, 14, 30), 162.83, 163.1, 162.5, 162.9, 120345),
    ),
    Case(
        "IBM_kibot_daily.txt", {"date_order": "mdy"}, "kibot", "IBM", 3, 86400,
        (utc(2024, 1, 2), 162.83, 163.1, 162.5, 162.9, 1203450),
    ),
    Case("aapl.us.txt", {}, "stooq", "AAPL", 3, 86400, (utc(2024, 1, 2), 187, 188.2, 183.5, 185.1, 82488700)),
    Case(
        "stooq5.csv", {"zone": "Europe/Warsaw"}, "stooq", "AAPL", 3, 300,
        (utc(2024, 1, 2, 14, 30), 187, 188.2, 183.5, 185.1, 82488),
    ),
    Case("alpaca.json", {}, "alpaca", "AAPL", 2, 60, (utc(2024, 1, 2, 14, 30), 187, 188.2, 183.5, 185.1, 82488)),
    Case("polygon.json", {}, "polygon", "AAPL", 3, 60, (utc(2024, 1, 2, 14, 30), 187, 188.2, 183.5, 185.1, 82488)),
    Case(
        "date_and_time.csv", {"symbol": "IBM", "zone": NEW_YORK}, "csv", "IBM", 3, 86400,
        (utc(2024, 1, 2, 21), 1, 2, 1, 2, 10),
    ),
    Case(
        "dbn_raw.csv", {"symbol": "ES-202403"}, "databento", "ES-202403", 3, 60,
        (utc(2024, 1, 2, 14, 30), 4781.25, 4782, 4780.5, 4781.75, 1234),
    ),
    Case("ib_daily.csv", {"symbol": "IBM"}, "ib", "IBM", 2, 86400, (utc(2024, 1, 2), 187, 188.2, 183.5, 185.1, 82488)),
    Case(
        "ib_hist.csv", {"symbol": "IBM"}, "ib", "IBM", 2, 60,
        (utc(2024, 1, 2, 14, 30), 187, 188.2, 183.5, 185.1, 82488),
    ),
    Case(
        "investing.csv", {"symbol": "SPX", "date_order": "mdy"}, "investing", "SPX", 3, 86400,
        (utc(2024, 1, 2), 4745.2, 4754.33, 4722.67, 4742.83, 980_500),
    ),
    Case(
        "tv_epoch.csv", {"symbol": "IBM"}, "tradingview", "IBM", 3, 60,
        (utc(2024, 1, 2, 14, 30), 187, 188.2, 183.5, 185.1, 82488),
    ),
    Case(
        "us_dates.csv", {"symbol": "IBM", "zone": NEW_YORK, "date_order": "mdy"}, "csv", "IBM", 9, 86400,
        (utc(2024, 1, 2, 14, 30), 102, 104, 101, 103, 1000),
    ),
    Case("yf_new.csv", {}, "yfinance", "AAPL", 3, 86400, (utc(2024, 1, 2), 187, 188.2, 183.5, 185.1, 82488700)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}-{'-'.join(case.said)}")
def test_a_vendors_file_is_recognized_and_read(case: Case) -> None:
    bars = read_bars(FILES / case.file, **case.said)

    assert (bars.format, bars.symbols, len(bars)) == (case.format, (case.symbol,), case.rows)
    assert bars.intervals == {case.symbol: case.seconds * 1_000_000_000}
    assert bars.frame.row(0) == (case.symbol, *case.first)
    assert bars["opened_at"].is_sorted()


@pytest.mark.parametrize(
    ("file", "said", "asked"),
    [
        ("us_dates.csv", {}, ["symbol=", "date_order='mdy' or 'dmy'", "zone="]),
        ("us_dates.csv", {"symbol": "IBM", "zone": NEW_YORK}, ["date_order="]),
        ("IBM_kibot_daily.txt", {}, ["'01/02/2024' may have the month or the day first", "date_order="]),
        ("IBM_kibot.txt", {"date_order": "mdy"}, ["carry no zone", "zone="]),
        ("AAPL_first_nohdr.csv", {}, ["zone="]),
        ("stooq5.csv", {}, ["zone="]),
        ("EURUSD_M1_mt5.csv", {"symbol": "EUR.USD"}, ["zone="]),
        ("date_and_time.csv", {"symbol": "IBM"}, ["zone="]),
        ("investing.csv", {"symbol": "SPX"}, ["date_order="]),
        ("ib_daily.csv", {}, ["symbol='AAPL' or whichever it is"]),
        ("HistoricalData_nasdaq_na.csv", {}, ["symbol="]),
    ],
)
def test_what_a_file_does_not_say_is_asked_for_in_one_sentence(
    file: str, said: dict[str, Any], asked: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        read_bars(FILES / file, **said)

    assert str(caught.value).startswith(f"{FILES / file}: ")
    assert [part for part in asked if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)
    given = [f"{name}=" for name in said if f"say which with {name}=" in str(caught.value)]
    assert given == []


def read(folder: Path, text: str | bytes, name: str = "AAPL.csv", **said: Any) -> Bars:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_bars(path, **said)


@pytest.mark.parametrize(
    ("format", "text", "first"),
    [
        # Local times of Dukascopy carry their offset.
        (
            "dukascopy",
            "Local time,Open,High,Low,Close,Volume\n02.01.2024 01:00:00.000 GMT+0100,1,2,1,2,5\n"
            "02.01.2024 01:01:00.000 GMT+0100,1,2,1,2,5\n",
            (utc(2024, 1, 2, 0, 0), 1, 2, 1, 2, 5),
        ),
        # Databento with decimal prices and times as text.
        (
            "databento",
            "ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
            "2024-01-02T14:30:00.000000000Z,33,1,2,187.150000000,188.000000000,187.000000000,187.500000000,9,AAPL\n"
            "2024-01-02T14:31:00.000000000Z,33,1,2,187.150000000,188.000000000,187.000000000,187.500000000,9,AAPL\n",
            (utc(2024, 1, 2, 14, 30), 187.15, 188, 187, 187.5, 9),
        ),
        # Nasdaq's prices of shares have a dollar sign, and the newest comes first.
        (
            "nasdaq",
            'Date,Close/Last,Volume,Open,High,Low\n01/03/2024,$184.25,58414460,$184.22,$185.88,$183.43\n'
            '01/02/2024,$185.64,"82,488,670",$187.15,$188.44,$183.885\n',
            (utc(2024, 1, 2), 187.15, 188.44, 183.885, 185.64, 82488670),
        ),
        # Alpaca's and Polygon's days begin at midnight in New York.
        (
            "alpaca",
            '{"bars":[{"t":"2024-01-02T05:00:00Z","o":1,"h":2,"l":1,"c":2,"v":3},'
            '{"t":"2024-01-03T05:00:00Z","o":1,"h":2,"l":1,"c":2,"v":3}],"symbol":"AAPL"}',
            (utc(2024, 1, 2), 1, 2, 1, 2, 3),
        ),
        (
            "polygon",
            '{"ticker":"AAPL","resultsCount":2,"results":[{"t":1720065600000,"o":1,"h":2,"l":1,"c":2,"v":3},'
            '{"t":1720152000000,"o":1,"h":2,"l":1,"c":2,"v":3}]}',
            (utc(2024, 7, 4), 1, 2, 1, 2, 3),
        ),
        (
            "alphavantage-json",
            '{"Meta Data":{"2. Symbol":"AAPL","6. Time Zone":"US/Eastern"},"Time Series (5min)":{'
            '"2024-01-02 09:35:00":{"1. open":"1","2. high":"2","3. low":"1","4. close":"2","5. volume":"3"},'
            '"2024-01-02 09:30:00":{"1. open":"4","2. high":"5","3. low":"4","4. close":"5","5. volume":"6"}}}',
            (utc(2024, 1, 2, 14, 30), 4, 5, 4, 5, 6),
        ),
        (
            "yahoo-chart",
            '{"chart":{"result":[{"meta":{"symbol":"AAPL","exchangeTimezoneName":"America/New_York"},'
            '"timestamp":[1704171600,1704258000],"indicators":{"quote":[{"open":[1,1],"high":[2,2],"low":[1,1],'
            '"close":[2,2],"volume":[3,3]}]}}]}}',
            (utc(2024, 1, 2), 1, 2, 1, 2, 3),
        ),
        (
            "json-records",
            '{"date":"2024-01-02","open":1,"high":2,"low":1,"close":2,"volume":3}\n'
            '{"date":"2024-01-03","open":1,"high":2,"low":1,"close":2,"volume":3}\n',
            (utc(2024, 1, 2), 1, 2, 1, 2, 3),
        ),
        (
            "json-columns",
            '{"s":"ok","t":[1704171600,1704171660],"o":[1,1],"h":[2,2],"l":[1,1],"c":[2,2],"v":[3,3]}',
            (utc(2024, 1, 2, 5), 1, 2, 1, 2, 3),
        ),
        (
            "ninjatrader",
            "20240102 143000;1;2;1;2;3\n20240102 143100;1;2;1;2;3\n",
            (utc(2024, 1, 2, 14, 30), 1, 2, 1, 2, 3),
        ),
        # The older yfinance, tickers above fields, with an index that is not named in line two.
        (
            "yfinance",
            ",AAPL,AAPL,AAPL,AAPL,AAPL\nPrice,Open,High,Low,Close,Volume\nDate,,,,,\n2024-01-02,1,2,1,2,3\n"
            "2024-01-03,1,2,1,2,3\n",
            (utc(2024, 1, 2), 1, 2, 1, 2, 3),
        ),
    ],
)  # fmt: skip
def test_further_layouts_of_vendors(tmp_path: Path, format: str, text: str, first: Row) -> None:  # noqa: A002
    bars = read(tmp_path, text, zone="UTC" if format == "ninjatrader" else None)

    assert (bars.format, bars.symbols) == (format, ("AAPL",))
    assert bars.frame.row(0) == ("AAPL", *first)


def test_several_tickers_of_yfinance_become_symbols(tmp_path: Path) -> None:
    text = (
        "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\n"
        "Ticker,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT\n"
        "Date,,,,,,,,,,\n"
        "2024-01-02,2,12,3,13,1,11,2,12,5,6\n"
        "2024-01-03,2,,3,,1,,2,,5,\n"
        "2024-01-04,2,14,3,15,1,13,2,14,5,6\n"
    )

    bars = read(tmp_path, text, allow_gaps=True)

    # Microsoft has no prices on the 3rd, which is a trading day.
    assert bars.symbols == ("AAPL", "MSFT")
    assert bars.frame.row(1) == ("MSFT", utc(2024, 1, 2), 12, 13, 11, 12, 6)
    assert len(bars) == 5
    assert bars.gaps == ("MSFT: 1 bar of 1 d is missing between 2024-01-02 and 2024-01-04",)


PLAIN = "Date,Open,High,Low,Close,Volume\n2024-01-02,10,12,9,11,100\n2024-01-03,11,12,10,12,200\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN + "\n\n",
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.encode("utf-16"),
        gzip.compress(PLAIN.encode(), mtime=0),
        "# made by hand\n" + PLAIN,
        "Prices of Apple\n\n" + PLAIN,
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"' + PLAIN.strip().replace(",", '","').replace("\n", '"\n"') + '"\n',
        PLAIN.replace("2024-01-02,", "2024-01-02 , ").replace("10,12", " 10 ,12"),
        PLAIN + ",,,,,\n",
        PLAIN + "Downloaded from a vendor\n",
        "Close,Date,Volume,Low,High,Open\n11,2024-01-02,100,9,12,10\n12,2024-01-03,200,10,12,11\n",
        ",Open,High,Low,Close,Volume\n2024-01-02,10,12,9,11,100\n2024-01-03,11,12,10,12,200\n",
        "Datum;Er\u00f6ffnung;Hoch;Tief;Schluss;Volumen\n02.01.2024;10,0;12,0;9,0;11,0;100\n03.01.2024;11,0;12,0;10,0;12,0;200\n",
        "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen\n2024-01-02,10,12,9,11,100\n2024-01-03,11,12,10,12,200\n",
    ],
    ids=lambda text: repr(text[:24]),
)  # fmt: skip
def test_one_table_in_many_dresses(tmp_path: Path, text: str | bytes) -> None:
    bars = read(tmp_path, text)

    assert bars.frame.rows() == [
        ("AAPL", utc(2024, 1, 2), 10, 12, 9, 11, 100),
        ("AAPL", utc(2024, 1, 3), 11, 12, 10, 12, 200),
    ]


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1234.5", 1234.5), ('"1,234.5"', 1234.5), ('"1.234,5"', 1234.5), ("1'234.5", 1234.5), ("$1234.50", 1234.5),
        ("1.2345e3", 1234.5), ('"1234,5"', 1234.5), ("\u20ac1234.5", 1234.5),
    ],
)  # fmt: skip
def test_prices_are_read_as_they_are_written(tmp_path: Path, written: str, number: float) -> None:
    rows = "".join(f"2024-01-0{day}{f',{written}' * 4},7\n" for day in (2, 3))

    assert read(tmp_path, "Date,Open,High,Low,Close,Volume\n" + rows)["close"][0] == number


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1.20M", 1_200_000), ("980.50K", 980_500), ("2B", 2e9), ('"1,234,567"', 1_234_567), ("-", 0), ("N/A", 0),
        ("", 0),
    ],
)  # fmt: skip
def test_volumes_are_read_as_they_are_written(tmp_path: Path, written: str, number: float) -> None:
    rows = "".join(f"2024-01-0{day},1,1,1,1,{written}\n" for day in (2, 3))

    assert read(tmp_path, "Date,Open,High,Low,Close,Volume\n" + rows)["volume"][0] == number


def test_a_comma_that_may_begin_decimals_or_thousands_is_asked_for(tmp_path: Path) -> None:
    text = "Date;Open;High;Low;Close\n" + "".join(f"2024-01-0{day};1,104;1,104;1,104;1,104\n" for day in (2, 3))

    with pytest.raises(DataError, match=r"'1,104' may be 1104 or 1\.104: say which with decimal='\.' or decimal=','"):
        read(tmp_path, text)
    assert read(tmp_path, text, decimal=",")["close"][0] == 1.104
    assert read(tmp_path, text, decimal=".")["close"][0] == 1104


def test_an_adjusted_close_is_left_out_with_a_word(tmp_path: Path) -> None:
    bars = read(tmp_path, "Date,Open,High,Low,Close,Adj Close\n2024-01-02,10,12,9,11,5\n2024-01-03,11,12,10,12,6\n")

    assert bars["close"].to_list() == [11, 12]
    assert "prices are as in Close, not as in Adj Close" in bars.notes
