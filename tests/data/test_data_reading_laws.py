"""Laws of reading: what was written comes back, and whatever a file holds, it is read or refused in one sentence."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ibdesk.data import Bars, read_bars
from ibdesk.errors import DataError

FILES = sorted((Path(__file__).parent / "files").iterdir())
QUIET = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
ALL_SAID = {"symbol": "AAPL", "zone": "UTC", "date_order": "mdy", "decimal": ".", "interval": "1 min"}

Rows = list[tuple[float, float, float, float, float]]
prices = st.integers(100, 100_000).map(lambda cents: cents / 100)
rows = st.lists(
    st.tuples(prices, prices, prices, prices, st.integers(0, 10**7)).map(
        lambda row: (row[0], max(row[:4]), min(row[:4]), row[3], float(row[4]))
    ),
    min_size=3,
    max_size=12,
)


def frame_of(values: Rows) -> pl.DataFrame:
    """Return minute bars from 14:30 UTC of 2 January 2024 on."""
    start = dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)
    columns = dict(zip(("open", "high", "low", "close", "volume"), zip(*values, strict=True), strict=True))
    times = [start + dt.timedelta(minutes=n) for n in range(len(values))]
    return pl.DataFrame({"symbol": "AAPL", "opened_at": times, **columns}).with_columns(
        pl.col("opened_at").cast(pl.Datetime("ns", "UTC"))
    )


def bars(frame: pl.DataFrame) -> list[tuple[dt.datetime, float, float, float, float, float]]:
    return frame.drop("symbol").rows()


def own(frame: pl.DataFrame) -> str:
    return frame.write_csv()


def stooq(frame: pl.DataFrame) -> str:
    lines = ["<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"]
    return "\n".join(
        [*lines, *(f"AAPL.US,1,{time:%Y%m%d,%H%M%S},{o},{h},{w},{c},{v},0" for time, o, h, w, c, v in bars(frame))]
    )


def metatrader(frame: pl.DataFrame) -> str:
    lines = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    return "\n".join(
        [*lines, *(f"{time:%Y.%m.%d\t%H:%M:%S}\t{o}\t{h}\t{w}\t{c}\t{v}\t0\t1" for time, o, h, w, c, v in bars(frame))]
    )


def dukascopy(frame: pl.DataFrame) -> str:
    lines = ["Gmt time,Open,High,Low,Close,Volume"]
    return "\n".join(
        [*lines, *(f"{time:%d.%m.%Y %H:%M:%S}.000,{o},{h},{w},{c},{v}" for time, o, h, w, c, v in bars(frame))]
    )


def kibot(frame: pl.DataFrame) -> str:
    return "\n".join(f"{time:%m/%d/%Y,%H:%M},{o},{h},{w},{c},{v}" for time, o, h, w, c, v in bars(frame))


def ninjatrader(frame: pl.DataFrame) -> str:
    return "\n".join(f"{time:%Y%m%d %H%M%S};{o};{h};{w};{c};{v}" for time, o, h, w, c, v in bars(frame))


def european(frame: pl.DataFrame) -> str:
    lines = ["Datum;Hoch;Tief;Er\u00f6ffnung;Schluss;Volumen"]
    numbers = [[f"{figure:,.2f}".translate(str.maketrans(",.", ".,")) for figure in row[1:]] for row in bars(frame)]
    times = [f"{row[0]:%d.%m.%Y %H:%M}" for row in bars(frame)]
    return "\n".join(
        [*lines, *(f"{time};{h};{w};{o};{c};{v}" for time, (o, h, w, c, v) in zip(times, numbers, strict=True))]
    )


def american(frame: pl.DataFrame) -> str:
    lines = ["Date,Time,Open,High,Low,Close,Volume"]
    return "\n".join(
        [
            *lines,
            *(
                f'{time:%m/%d/%Y,%I:%M %p},"${o:,.2f}","${h:,.2f}","${w:,.2f}","${c:,.2f}","{v:,.0f}"'
                for time, o, h, w, c, v in bars(frame)[::-1]
            ),
        ]
    )


def databento(frame: pl.DataFrame) -> str:
    lines = ["ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol"]
    for time, *prices, volume in bars(frame):
        raw = ",".join(str(round(price * 1e9)) for price in prices)
        lines.append(f"{int(time.timestamp()) * 10**9},33,1,2,{raw},{volume:.0f},AAPL")
    return "\n".join(lines)


def polygon(frame: pl.DataFrame) -> str:
    results = [
        {"t": int(time.timestamp()) * 1000, "o": o, "h": h, "l": w, "c": c, "v": v}
        for time, o, h, w, c, v in bars(frame)
    ]
    return json.dumps({"ticker": "AAPL", "resultsCount": len(results), "results": results})


def alpaca(frame: pl.DataFrame) -> str:
    rows = [
        {"t": f"{time:%Y-%m-%dT%H:%M:%SZ}", "o": o, "h": h, "l": w, "c": c, "v": v}
        for time, o, h, w, c, v in bars(frame)
    ]
    return json.dumps({"bars": {"AAPL": rows}, "next_page_token": None})


def ib(frame: pl.DataFrame) -> str:
    lines = ["date,open,high,low,close,volume,average,barCount"]
    return "\n".join(
        [*lines, *(f"{time:%Y%m%d %H:%M:%S} UTC,{o},{h},{w},{c},{v},0,1" for time, o, h, w, c, v in bars(frame))]
    )


def tradingview(frame: pl.DataFrame) -> str:
    lines = ["time,open,high,low,close,Volume,MA"]
    return "\n".join(
        [*lines, *(f"{int(time.timestamp())},{o},{h},{w},{c},{v}," for time, o, h, w, c, v in bars(frame))]
    )


def yfinance(frame: pl.DataFrame) -> str:
    lines = ["Price,Close,High,Low,Open,Volume", "Ticker,AAPL,AAPL,AAPL,AAPL,AAPL", "Datetime,,,,,"]
    return "\n".join(
        [*lines, *(f"{time:%Y-%m-%d %H:%M:%S}+00:00,{c},{h},{w},{o},{v}" for time, o, h, w, c, v in bars(frame))]
    )


WRITERS: list[Callable[[pl.DataFrame], str]] = [
    *(own, stooq, metatrader, dukascopy, kibot, ninjatrader, european, american, databento, polygon, alpaca, ib),
    *(tradingview, yfinance),
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@given(values=rows)
@QUIET
def test_what_is_written_in_a_layout_comes_back(
    tmp_path: Path, write: Callable[[pl.DataFrame], str], values: Rows
) -> None:
    frame, path = frame_of(values), tmp_path / "AAPL.csv"
    path.write_text(write(frame), encoding="utf-8")

    read = read_bars(path, zone="UTC", date_order="mdy" if write in {kibot, american} else None, decimal=None)

    # HistData's layout with volumes of 0 only is taken for HistData's.
    assert read.frame.equals(frame)


def _reading(path: Path) -> Bars | None:
    """Read a file with all said; nothing when it is refused, which must be in one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read_bars(path, **ALL_SAID, allow_gaps=True)  # type: ignore[arg-type]  # as a person would
    except DataError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 1_000
    return None


@given(data=st.binary(max_size=400))
@QUIET
def test_random_bytes_are_refused_in_one_sentence(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "AAPL.csv"
    path.write_bytes(data)

    _reading(path)


@given(
    text=st.text(st.sampled_from('0123456789.,;:-/ \t\n"#AaDdOoHhLlCcVv{}[]'), max_size=300),
    header=st.sampled_from(["", "Date,Open,High,Low,Close\n", "time;o;h;l;c;v\n", "[{", '{"results":[', '{"bars":[']),
)
@QUIET
def test_random_tables_are_read_or_refused(tmp_path: Path, header: str, text: str) -> None:
    path = tmp_path / "AAPL.csv"
    path.write_text(header + text)

    _reading(path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
@given(data=st.data())
@settings(parent=QUIET, max_examples=10)
def test_a_vendors_file_with_faults_loses_no_row_without_a_word(
    tmp_path: Path, file: Path, data: st.DataObject
) -> None:
    mutated = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4), label="faults")):
        at = data.draw(st.integers(0, len(mutated) - 1), label="at")
        match data.draw(st.integers(0, 3), label="kind"):
            case 0:
                mutated[at] = data.draw(st.integers(0, 255), label="byte")
            case 1:
                del mutated[at : at + data.draw(st.integers(1, 40), label="length")]
            case 2:
                mutated[at:at] = data.draw(st.binary(max_size=10), label="inserted")
            case 3:
                mutated[at:at] = mutated[at : at + 60]
        if not mutated:
            break
    path = tmp_path / "AAPL.csv"
    path.write_bytes(bytes(mutated))

    bars_read = _reading(path)

    if bars_read is None or file.suffix == ".json":
        return
    lines = [line for line in bytes(mutated).decode("cp1252", errors="replace").splitlines() if line.strip(" \t,;\x1a")]
    headers = {"yf_new.csv": 3, "AAPL_first_nohdr.csv": 0, "DAT_ASCII_EURUSD_M1_202401.csv": 0}.get(
        file.name, 0 if "kibot" in file.name else 1
    )
    lost = len(lines) - headers - len(bars_read)
    said = " ".join([*bars_read.warnings, *bars_read.notes])
    assert lost <= 0 or "left out" in said or "taken" in said, (lines, bars_read.frame)
