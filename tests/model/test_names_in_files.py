"""A one-digit year of a future is resolved by the dates in the same file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from ibdesk.data import read_bars
from ibdesk.data.read import as_bars

HEAD = "Date,Open,High,Low,Close,Volume\n"


@pytest.mark.parametrize(
    ("file", "days", "id"),
    [
        ("CLK0.csv", ("2020-04-20", "2020-04-21"), "CL-202005"),
        ("ESH5.csv", ("2015-01-05", "2015-01-06"), "ES-201503"),
        ("esh5.csv", ("2025-01-06", "2025-01-07"), "ES-202503"),
        # The contract of January has its bars in the year before.
        ("CLF0.csv", ("2019-12-16", "2019-12-17"), "CL-202001"),
        # Years before its expiry: a contract cannot have bars after it.
        ("CLZ0.csv", ("2014-01-06", "2014-01-07"), "CL-202012"),
        # The last evening of a December belongs to the next year in another zone.
        ("ZQZ4.csv", ("2024-12-31", "2025-01-01"), "ZQ-202412"),
        ("ESH05.csv", ("2005-01-05", "2005-01-06"), "ES-200503"),
    ],
)
def test_a_file_name_means_the_contract_of_its_bars(
    tmp_path: Path,
    file: str,
    days: tuple[str, str],
    id: str,  # noqa: A002 - the word for it
) -> None:
    path = tmp_path / file
    path.write_text(HEAD + "".join(f"{day},20,21,17,18,5\n" for day in days))

    assert read_bars(path, allow_gaps=True).symbols == (id,)
    assert read_bars(path, symbol=file.removesuffix(".csv"), allow_gaps=True).symbols == (id,)


def test_each_symbol_of_a_column_is_read_by_its_own_bars(tmp_path: Path) -> None:
    days = {"CLK0": ("2020-04-16", "2020-04-17"), "ESH5": ("2015-01-05", "2015-01-06")}
    rows = [(symbol, day) for symbol, both in days.items() for day in both]
    path = tmp_path / "all.csv"
    path.write_text(f"symbol,{HEAD}" + "".join(f"{symbol},{day},20,21,17,18,5\n" for symbol, day in rows))
    frame = pl.DataFrame(
        {
            "symbol": [symbol for symbol, _ in rows],
            "opened_at": [dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) for _, day in rows],
            **dict.fromkeys(("open", "high", "low", "close"), 20.0),
            "volume": 5.0,
        }
    )

    assert sorted(read_bars(path, allow_gaps=True).symbols) == ["CL-202005", "ES-201503"]
    assert sorted(as_bars(frame).symbols) == ["CL-202005", "ES-201503"]
