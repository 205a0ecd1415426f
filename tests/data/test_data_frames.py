"""Frames of pandas and Polars, folders and what is odd about rows: read, or refused with a word."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from ibdesk.backtest import backtest
from ibdesk.data import BarFormat, Bars, Content, RawBars, bar_formats, read_bars, register_format, unregister_format
from ibdesk.errors import DataError
from ibdesk.strategy import Strategy

PRICES = {"Open": [10.0, 11.0], "High": [12.0, 12.0], "Low": [9.0, 10.0], "Close": [11.0, 12.0], "Volume": [100, 200]}
DAYS = ["2024-01-02", "2024-01-03"]
ROWS = [
    ("AAPL", dt.datetime(2024, 1, 2, tzinfo=dt.UTC), 10, 12, 9, 11, 100),
    ("AAPL", dt.datetime(2024, 1, 3, tzinfo=dt.UTC), 11, 12, 10, 12, 200),
]
PLAIN = "Date,Open,High,Low,Close,Volume\n2024-01-02,10,12,9,11,100\n2024-01-03,11,12,10,12,200\n"


class Idle(Strategy):
    """Does nothing."""


def levels(*, fields_first: bool) -> pd.DataFrame:
    """Return a frame as yfinance makes it, of two tickers."""
    columns = [(field, ticker) if fields_first else (ticker, field) for ticker in ("AAPL", "MSFT") for field in PRICES]
    frame = pd.DataFrame([[*row, *row] for row in zip(*PRICES.values(), strict=True)], index=pd.DatetimeIndex(DAYS))
    frame.columns = pd.MultiIndex.from_tuples(columns)
    return frame


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(PRICES, index=pd.DatetimeIndex(DAYS)),
        pd.DataFrame(PRICES, index=pd.DatetimeIndex(DAYS, name="Date", tz="America/New_York")),
        pd.DataFrame(PRICES, index=pd.DatetimeIndex(DAYS, tz=dt.timezone(dt.timedelta(hours=2)))),
        pd.DataFrame(PRICES, index=[dt.date(2024, 1, 2), dt.date(2024, 1, 3)]),
        pd.DataFrame(PRICES, index=pd.Index(DAYS, name="Date")),
        pd.DataFrame({"date": DAYS, **PRICES}),
        pd.DataFrame({"date": pd.to_datetime(DAYS), **PRICES}),
        pd.DataFrame({"date": [1704153600, 1704240000], **PRICES}),
        pd.DataFrame(PRICES, index=pd.DatetimeIndex(DAYS)).iloc[::-1],
        pl.DataFrame({"date": DAYS, **PRICES}),
        pl.DataFrame({"Date": [dt.date(2024, 1, 2), dt.date(2024, 1, 3)], **PRICES}),
        pl.DataFrame({"time": [dt.datetime(2024, 1, 2), dt.datetime(2024, 1, 3)], **PRICES}),  # noqa: DTZ001 - as given
        pl.LazyFrame({"date": DAYS, **PRICES}),
    ],
)
def test_a_frame_is_read_as_a_file_is(frame: object) -> None:
    assert read_bars(frame, symbol="AAPL").frame.rows() == ROWS


@pytest.mark.parametrize("fields_first", [True, False])
def test_two_levels_of_columns_are_fields_and_tickers(*, fields_first: bool) -> None:
    bars = read_bars(levels(fields_first=fields_first))

    assert bars.symbols == ("AAPL", "MSFT")
    assert bars.frame.filter(pl.col("symbol") == "AAPL").rows() == ROWS


def test_two_levels_of_the_index_are_symbol_and_time() -> None:
    index = pd.MultiIndex.from_product([["AAPL"], pd.DatetimeIndex(DAYS, tz="UTC")], names=["symbol", "timestamp"])

    assert read_bars(pd.DataFrame(PRICES, index=index)).frame.rows() == ROWS


def test_intraday_times_of_pandas_keep_their_zone() -> None:
    index = pd.date_range("2024-01-02 09:30", periods=2, freq="min", tz="America/New_York")

    bars = read_bars(pd.DataFrame(PRICES, index=index), symbol="AAPL")

    assert bars["opened_at"][0] == dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)
    assert (bars.format, bars.zone) == ("pandas", "America/New_York")
    with pytest.raises(DataError, match="carry no zone: say which with zone="):
        read_bars(pd.DataFrame(PRICES, index=index.tz_localize(None)), symbol="AAPL")


def test_a_frame_that_names_no_instrument_asks_for_one() -> None:
    with pytest.raises(DataError, match=r"the pandas frame: .*say which with symbol='AAPL'"):
        read_bars(pd.DataFrame(PRICES, index=pd.DatetimeIndex(DAYS)))


@pytest.mark.process
def test_pandas_is_not_imported_for_others(tmp_path: Path) -> None:
    (tmp_path / "AAPL.csv").write_text(PLAIN)
    code = "import sys; from ibdesk import read_bars; read_bars(sys.argv[1]); print('pandas' in sys.modules)"

    told = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "AAPL.csv"], capture_output=True, text=True, check=True
    )

    assert told.stdout == "False\n"


def test_a_backtest_takes_whatever_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.csv"
    path.write_text(PLAIN)
    sources = [path, str(path), tmp_path, read_bars(path), read_bars(path).frame]

    assert [backtest(Idle(), source).symbols for source in sources] == [("AAPL",)] * 5
    assert backtest(Idle(), levels(fields_first=True)).symbols == ("AAPL", "MSFT")


def test_a_folder_holds_files_of_many_kinds(tmp_path: Path) -> None:
    (tmp_path / "AAPL.csv").write_text(PLAIN)
    (tmp_path / "msft.txt").write_text(PLAIN)
    records = (f'{{"t":"{day}","o":1,"h":1,"l":1,"c":1}}' for day in DAYS)
    (tmp_path / "IBM.json").write_text(f"[{','.join(records)}]")
    (tmp_path / "notes.md").write_text("not a file of bars")
    empty = tmp_path / "empty"
    empty.mkdir()

    bars = read_bars(tmp_path)

    assert bars.symbols == ("AAPL", "IBM", "MSFT")
    assert bars.format == "csv, json-records"
    with pytest.raises(DataError, match=r"holds no file of bars \(\.csv"):
        read_bars(empty)


def test_parts_of_a_folder_may_overlap(tmp_path: Path) -> None:
    (tmp_path / "AAPL_1.csv").write_text(PLAIN)
    (tmp_path / "AAPL_2.csv").write_text(PLAIN.replace("2024-01-02,10,12,9,11,100", "2024-01-04,12,13,11,12,300"))

    bars = read_bars(tmp_path)

    assert len(bars) == 3
    assert "1 row that repeats another left out" in bars.warnings


# ---- odd rows --------------------------------------------------------------------------------------------------------


def read(folder: Path, text: str) -> Bars:
    path = folder / "AAPL.csv"
    path.write_text(text)
    return read_bars(path)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (PLAIN + "2024-01-03,11,12,10,12,200\n", "1 row that repeats another left out"),
        (PLAIN + "2024-01-04,,,,,\n", "1 row without prices left out, the first at 2024-01-04"),
        (PLAIN + "2024-01-04,null,null,null,null,null\n", "1 row without prices left out, the first at 2024-01-04"),
        (
            PLAIN + "2024-01-05,11,12,10,12,200\n2024-01-04,11,12,10,12,200\n",
            "1 row was out of order; the bars were sorted by time",
        ),
    ],
)
def test_nothing_is_dropped_or_sorted_without_a_word(tmp_path: Path, text: str, warning: str) -> None:
    bars = read(tmp_path, text)

    assert bars.warnings == (warning,)
    assert bars.frame.rows()[:2] == ROWS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Date,Open,High,Low,Close\n", "has a header and no rows"),
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        (PLAIN.replace("2024-01-03", "2024-01-02"), "the bar is the second of this time: keep one"),
        (PLAIN.replace(",200", ",-200"), "volume is negative (-200.0)"),
        (PLAIN.replace("Low", "Open"), "the column Open occurs 2 times: keep one"),
        (PLAIN.replace("12,10,12", "12,,12"), "row 1, column Low: empty is not a number"),
        (PLAIN.split("2024-01-03", maxsplit=1)[0], "pass interval='1 day'"),
        (PLAIN + "2024-01-04,1,2,3,4,5,6,7\n", "row 2 has 8 cells, the rows above have 6"),
        ("\x00\x01\x02\x03", "it is not text"),
        ("hello world", "none of the known formats"),
        ('{"error": "no such symbol"}', "its JSON is of none of the known formats"),
        ('{"bars": [', "is not valid JSON"),
        ("PAR1 and no more", "cannot be read as a table"),
        ("\x1f\x8b and no more", "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_of_bars_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "AAPL.csv"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(DataError) as caught:
        read_bars(path)

    assert str(caught.value).startswith(str(path))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_longer_than_allowed_is_refused_while_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.csv"
    path.write_text(PLAIN)

    with pytest.raises(DataError, match="is longer than the 20 bytes that may be read"):
        read_bars(path, max_bytes=20)


def test_a_file_under_zstd_is_refused_with_what_unpacks_it(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.csv.zst"
    # Ten bytes of text in one raw block, as RFC 8878 lays a frame out.
    path.write_bytes(b"\x28\xb5\x2f\xfd\x20\x0a\x51\x00\x00open,close")

    with pytest.raises(DataError, match=r"AAPL\.csv\.zst is compressed with zstd, .* unpack it first with `zstd -d`$"):
        read_bars(path)


# ---- formats of one's own --------------------------------------------------------------------------------------------


def test_a_user_can_add_a_format(tmp_path: Path) -> None:
    def read_mine(content: Content) -> RawBars:
        names = {"c0": "opened_at", "c1": "open", "c2": "high", "c3": "low", "c4": "close"}
        return RawBars(frame=content.table(1).rename(names), date_order="dmy")

    def is_mine(content: Content) -> bool:
        return content.header[:2] == ["when", "first"]

    mine = BarFormat(name="mine", about="My broker", recognizes=is_mine, read=read_mine)
    path = tmp_path / "AAPL.csv"
    path.write_text("when,first,most,least,final\n02/01/2024,10,12,9,11\n03/01/2024,11,12,10,12\n")
    register_format(mine)
    try:
        bars = read_bars(path)
        with pytest.raises(DataError, match="there is already a format 'mine'"):
            register_format(mine)
    finally:
        unregister_format("mine")

    assert (bars.format, bars["opened_at"][0]) == ("mine", dt.datetime(2024, 1, 2, tzinfo=dt.UTC))
    assert "mine" not in [known.name for known in bar_formats()]
    with pytest.raises(DataError, match="there is no format 'mine': there are databento, "):
        read_bars(path, format="mine")


def test_bars_show_what_was_understood(tmp_path: Path) -> None:
    bars = read(tmp_path, PLAIN)

    assert "AAPL.csv" in repr(bars)
    assert "format: csv" in repr(bars)
    assert "<td style='text-align:left'>2024-01-02 to 2024-01-03</td>" in bars._repr_html_()
    assert bars.table().row_count >= 6


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC", "-05:00"])
@pytest.mark.parametrize("column", ["Date", "Datetime"])
def test_a_column_of_pandas_times_with_a_zone_is_read_as_the_index_is(zone: str, column: str) -> None:
    index = pd.date_range("2024-01-02 09:30", periods=2, freq="min", tz=zone, name=column)
    by_index = pd.DataFrame(PRICES, index=index)

    bars = read_bars(by_index.reset_index(), symbol="AAPL")

    assert bars.frame.equals(read_bars(by_index, symbol="AAPL").frame)
    assert bars["opened_at"][0] == index[0].to_pydatetime()
