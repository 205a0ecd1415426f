"""The names of files and symbols, in whatever case, mean an instrument, or ask for one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ibdesk.data import read_bars
from ibdesk.data.names import file_symbol
from ibdesk.errors import DataError
from ibdesk.model import instrument_of

ROWS = "Date,Open,High,Low,Close\n2024-01-02,1,1,1,1\n2024-01-03,1,1,1,1\n"


@pytest.mark.parametrize(
    ("file", "id"),
    [
        ("AAPL.csv", "AAPL"),
        ("aapl.csv", "AAPL"),
        ("ok.csv", "OK"),
        ("EUR.USD.csv", "EUR.USD"),
        ("eur.usd.csv", "EUR.USD"),
        ("USD.JPY.csv", "USD.JPY"),
        ("EURUSD.csv", "EUR.USD"),
        ("eurusd.csv.gz", "EUR.USD"),
        ("ES-202403.csv", "ES-202403"),
        ("ESH4.csv", "ES-202403"),
        ("esh4.txt", "ES-202403"),
        ("AAPL-20261218-C-250.csv", "AAPL-20261218-C-250"),
        ("aapl.us.txt", "AAPL"),
        ("AAPL.US.csv", "AAPL"),
        ("IBM_kibot.txt", "IBM"),
        ("daily_IBM.csv", "IBM"),
        ("AAPL_1min.txt", "AAPL"),
        ("AAPL Historical Data.csv", "AAPL"),
        ("NASDAQ_AAPL, 1D.csv", "AAPL"),
        ("aapl_daily.csv", "AAPL"),
        ("AAPL-1d.csv", "AAPL"),
        ("aapl-1d.csv", "AAPL"),
        ("daily_aapl.csv", "AAPL"),
        ("AAPL-daily-2024.csv", "AAPL"),
        ("es-202403_1min.csv", "ES-202403"),
        ("brk-b_daily.csv", "BRK.B"),
        ("EURUSD_M1_202401020000_202401312359.csv", "EUR.USD"),
        ("DAT_ASCII_EURUSD_M1_202401.csv", "EUR.USD"),
    ],
)
def test_the_name_of_a_file_means_an_instrument(file: str, id: str) -> None:  # noqa: A002 - the word for it
    assert file_symbol(file, 2024) == id


@pytest.mark.parametrize("file", ["BRK.B.csv", "brk.b.csv", "BRK-B.csv", "BRK B.csv", "brk b.parquet"])
def test_a_share_class_is_one_instrument_however_it_is_written(file: str) -> None:
    assert file_symbol(file) == file_symbol("BRK.B.csv")


def test_a_venue_behind_a_symbol_is_not_cut_off() -> None:
    assert file_symbol("7203.T.csv") == file_symbol("7203.t.csv") == instrument_of("7203.T").id


@pytest.mark.parametrize(
    "file",
    [
        "data.csv",
        "prices.parquet",
        "HistoricalData_1704300000000.csv",
        "AAPL_MSFT.csv",
        "20240102.csv",
        "my portfolio.csv",
    ],
)
def test_a_name_that_means_no_single_instrument_is_asked_for(tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    path.write_bytes(ROWS.encode())
    if path.suffix == ".parquet":
        read_bars(path, symbol="AAPL").frame.drop("symbol").write_parquet(path)

    with pytest.raises(DataError, match="names no single one: say which with symbol='AAPL' or whichever it is"):
        read_bars(path)
    assert read_bars(path, symbol="aapl").symbols == ("AAPL",)


def test_symbols_in_a_column_have_any_case(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("ticker,date,open,high,low,close\naapl,2024-01-02,1,1,1,1\nAAPL,2024-01-03,1,1,1,1\n")

    assert read_bars(path).symbols == ("AAPL",)


def test_one_symbol_of_many_is_taken_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    rows = (f"{symbol},2024-01-0{day},1,1,1,1\n" for day in (2, 3) for symbol in ("AAPL", "MSFT"))
    path.write_text("symbol,date,open,high,low,close\n" + "".join(rows))

    bars = read_bars(path, symbol="MSFT")

    assert (bars.symbols, len(bars)) == (("MSFT",), 2)
    assert "only the bars of MSFT are taken, of 2 symbols" in bars.notes
    with pytest.raises(DataError, match="has no bars of IBM: it has AAPL, MSFT"):
        read_bars(path, symbol="IBM")


@pytest.mark.parametrize(
    ("written", "id"),
    [
        ("C:EURUSD", "EUR.USD"),
        ("c:usdjpy", "USD.JPY"),
        ("I:SPX", "SPX-IND"),
        ("O:AAPL240119C00150000", "AAPL-20240119-C-150"),
    ],
)
def test_the_prefixes_of_polygon_are_understood(tmp_path: Path, written: str, id: str) -> None:  # noqa: A002 - as above
    path = tmp_path / "all.csv"
    path.write_text(f"ticker,date,open,high,low,close\n{written},2024-01-02,1,1,1,1\n{written},2024-01-03,1,1,1,1\n")

    assert read_bars(path).symbols == (instrument_of(id).id,)


@pytest.mark.parametrize("written", ["X:BTCUSD", "ES.c.0", "ES.FUT", "C:AAPL"])
def test_a_symbol_in_a_file_that_names_no_instrument_is_asked_for(tmp_path: Path, written: str) -> None:
    path = tmp_path / "all.csv"
    header = "ticker,date,open,high,low,close\n"
    path.write_text(header + "".join(f"{written},2024-01-0{day},1,1,1,1\n" for day in (2, 3)))

    with pytest.raises(DataError, match=rf"symbol '{written}' names no instrument: say which with symbol='AAPL'"):
        read_bars(path)
    assert read_bars(path, symbol="ES-202403").symbols == ("ES-202403",)
    given = read_bars(path, instruments={written: instrument_of("ES-202403")})
    assert given.symbols == (written,)
    rows = (f"{name},2024-01-0{day},1,1,1,1\n" for name in (written, "ZZ:Y", "AAPL") for day in (2, 3))
    path.write_text(header + "".join(rows))
    with pytest.raises(DataError, match=r"name no instruments: say which with instruments="):
        read_bars(path)
    assert read_bars(path, symbol="AAPL").symbols == ("AAPL",)


def test_a_frame_that_names_a_combination_keeps_its_name_and_says_so() -> None:
    frame = pl.DataFrame(
        {"symbol": ["ESH4-ESM4"] * 2, "date": ["2024-01-02", "2024-01-03"], "open": 1.0, "high": 1.0, "low": 1.0}
    ).with_columns(close=pl.lit(1.0))

    bars = read_bars(frame)

    assert bars.symbols == ("ESH4-ESM4",)
    assert "ESH4-ESM4: no instrument has this name, so that it stays as written" in bars.notes
