"""`ibdesk data check` and `ibdesk data formats`: how files are understood, before anything trades on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
FILES = Path(__file__).parent.parent / "data" / "files"
PRICES = "Date,Open,High,Low,Close,Volume\n2024-01-02,10,12,9,11,100\n2024-01-03,11,12,10,12,200\n"


def test_a_file_is_shown_as_it_is_understood(cli: Cli) -> None:
    told = cli("data", "check", FILES / "aapl.us.txt")

    said = " ".join(told.out.split())
    assert (told.code, told.err) == (0, "")
    assert "format stooq" in said
    assert "symbols AAPL" in said
    assert "interval 1 d" in said
    assert "span 2024-01-02 to 2024-01-04" in said
    assert "gaps none" in said
    assert "splits none suspected" in said
    assert "rows none is doubtful" in said


def test_symbols_that_name_no_instruments_are_asked_for_by_the_option(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    rows = [f"{name},2024-01-0{day},10,12,9,11,100" for name in ("A/B/C", "D/E/F") for day in (2, 3)]
    path.write_text("\n".join(["symbol,date,open,high,low,close,volume", *rows]))

    told = cli("data", "check", path)

    said = " ".join((told.out + told.err).split())
    assert told.code == 1
    assert "the symbols 'A/B/C', 'D/E/F' name no instruments: say which with --symbol 'A/B/C' to read" in said
    assert "instruments=" not in said
    assert cli("data", "check", path, "--symbol", "A/B/C").code == 0


def test_a_file_that_asks_for_something_is_told_by_the_option(cli: Cli) -> None:
    told = cli("data", "check", FILES / "us_dates.csv")

    said = " ".join((told.out + told.err).split())
    assert told.code == 1
    assert "--symbol AAPL" in said
    assert "--date-order mdy or dmy" in said
    assert "--zone America/New_York" in said
    assert "Traceback" not in said
    options = ("--symbol", "IBM", "--date-order", "mdy", "--zone", "America/New_York")
    assert cli("data", "check", FILES / "us_dates.csv", *options).code == 0


def test_gaps_splits_and_doubtful_rows_are_listed(cli: Cli, tmp_path: Path) -> None:
    closes = [75.3, 75.1, 74.9, 75.32, 37.92, 37.6, 37.8, 60.0, 37.9, 38.0]
    days = [2, 3, 4, 5, 8, 9, 10, 11, 12, 22]
    rows = (f"2024-01-{day:02},{close},{close},{close},{close},9\n" for day, close in zip(days, closes, strict=True))
    path = tmp_path / "ACME.csv"
    path.write_text("Date,Open,High,Low,Close,Volume\n" + "".join(rows) + "2024-01-27,38,38,38,38,9\n")

    figures = json.loads(cli("data", "check", path, "--json").out)

    # 15 January was a holiday; 16 to 19 are missing, then 23 to 26. The 27th was a Saturday.
    assert figures["gaps"] == [
        "ACME: 4 bars of 1 d are missing between 2024-01-12 and 2024-01-22",
        "ACME: 4 bars of 1 d are missing between 2024-01-22 and 2024-01-27",
    ]
    assert [text.partition(":")[2][:40] for text in figures["splits_suspected"]] == [
        " 2024-01-08 looks like a split of 2:1 (7"
    ]
    assert figures["doubtful_rows"] == [
        "ACME: 2024-01-11: close 60 after 37.8, then 37.9",
        "ACME: 2024-01-27: the market is closed on this day",
    ]
    assert (figures["format"], figures["symbols"], figures["bars"]) == ("csv", ["ACME"], 11)


def test_many_files_are_checked_to_the_end(cli: Cli, tmp_path: Path) -> None:
    good = tmp_path / "AAPL.csv"
    good.write_text(PRICES)
    bad = tmp_path / "MSFT.csv"
    bad.write_text("nothing")

    told = cli("data", "check", bad, good, tmp_path / "none.csv", "--json")

    lines = [json.loads(line) for line in told.out.splitlines()]
    assert told.code == 1
    assert "2 of 3 files cannot be used as they are" in told.err
    assert ["error" in line for line in lines] == [True, False, True]


def test_formats_are_listed(cli: Cli) -> None:
    listed = [json.loads(line)["name"] for line in cli("data", "formats", "--json").out.splitlines()]

    assert {"stooq", "histdata", "databento", "yfinance", "polygon", "csv"} <= set(listed)
    assert "HistData M1; Eastern Standard Time all year" in cli("data", "formats").out


@pytest.mark.parametrize("file", sorted(path.name for path in FILES.iterdir()))
def test_a_backtest_of_any_file_shows_no_traceback(cli: Cli, file: str) -> None:
    strategy = Path(__file__).parent.parent.parent / "strategies" / "ema_cross.py"

    told = cli("backtest", strategy, "--bars", FILES / file, "-p", "slow=2", "-p", "fast=1", "--allow-gaps")

    assert told.code in {0, 2}
    assert "Traceback" not in told.err
    assert told.err.count("\n") <= 1


def test_a_backtest_takes_what_the_file_does_not_say(cli: Cli) -> None:
    strategy = Path(__file__).parent.parent.parent / "strategies" / "ema_cross.py"
    options = ("-p", "slow=2", "-p", "fast=1", "--symbol", "IBM", "--zone", "America/New_York", "--date-order", "mdy")

    told = cli("backtest", strategy, "--bars", FILES / "us_dates.csv", *options, "--json")

    assert json.loads(told.out)["symbols"] == ["IBM"]
