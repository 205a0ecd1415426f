"""The instrument that a symbol or the name of a file means."""

from __future__ import annotations

import functools
import re

import polars as pl

from ibdesk.data.bars import distinct
from ibdesk.errors import DataError, InstrumentError
from ibdesk.model import AnyInstrument, Forex, Index, instrument_of

_ENDINGS = re.compile(
    r"(\.(csv|txt|tsv|json|jsonl|ndjson|parquet|pq|arrow|feather|gz|bz2|xz|zip|zst))+$", re.IGNORECASE
)
# Words in file names that describe the file, not an instrument, in lower case.
# fmt: off
_ABOUT_FILES = frozenset({
    "adj", "adjsplit", "adjsplitdiv", "adjsplitdividend", "adjusted", "all", "ascii", "ask", "backtest", "bar",
    "bars", "bid", "candle", "candles", "candlestick", "csv", "d", "d1", "daily", "dat", "data", "day", "days",
    "db", "dbn", "download", "eod", "example", "export", "file", "fixed", "full", "generic", "h", "h1", "h4",
    "hist", "histdata", "historical", "historicaldata", "history", "hour", "hourly", "ib", "input", "intraday",
    "investing", "json", "kibot", "last", "m", "m1", "m15", "m30", "m5", "market", "midpoint", "min", "mins",
    "minute", "minutes", "mn", "mn1", "monthly", "mt4", "mt5", "my", "nasdaq", "new", "nohdr", "ohlc", "ohlcv",
    "old", "out", "output", "part", "polygon", "price", "prices", "quotes", "raw", "sample", "sec", "series",
    "stock", "stocks", "stooq", "table", "test", "tick", "ticks", "time", "timeseries", "trade", "trades",
    "tradingview", "unadjusted", "w", "w1", "weekly", "yahoo", "yf", "yfinance",
})
# fmt: on
_LENGTHS = frozenset({"daily", "day", "hourly", "hour", "intraday", "minute", "monthly", "weekly"})
_TIMEFRAME = re.compile(r"\d+(s|sec|secs|second|m|min|mins|minute|h|hour|hours|d|day|days|w|mo)?", re.IGNORECASE)
_DATES = re.compile(r"[\d.\-]{4,}")
# Polygon's prefixes of currency pairs, indices and options; options are recognized without theirs.
_POLYGON = re.compile(r"([CI]):(\S+)", re.IGNORECASE)


# Bars end by the expiry of their contract, and a date of another zone may be a day later. `instrument_of` looks
# from four years before to five after: with these, from one year before the last bar to eight after.
_YEARS_AHEAD = 3


@functools.lru_cache(maxsize=4096)
def instrument_or_none(name: str, last_year: int | None = None) -> AnyInstrument | None:
    """Return the instrument that a name means, in any case; None if there is none.

    `last_year` is the year of its last bar. It decides the decade of ``ESH4``, whose bars end by its expiry.
    """
    if polygon := _POLYGON.fullmatch(name.strip()):
        name = f"{polygon[2]}-IND" if polygon[1].upper() == "I" else polygon[2]
        found = instrument_or_none(name, last_year)
        return found if isinstance(found, Forex | Index) else None
    try:
        return instrument_of(name, near_year=None if last_year is None else last_year + _YEARS_AHEAD)
    except InstrumentError:
        return None


def symbol_id(name: str, last_year: int | None = None) -> str:
    """Return the id of the instrument that a symbol means, or the symbol itself if it means none."""
    name = name.strip()
    instrument = instrument_or_none(name, last_year)
    return name if instrument is None else instrument.id


def last_years(symbols: pl.Series, times: pl.Series) -> dict[str, int | None]:
    """Return the year of each symbol's last bar, None if `times` are not dates or times."""
    names = distinct(symbols)
    if not isinstance(times.dtype, pl.Date | pl.Datetime):
        return dict.fromkeys(names)
    if len(names) == 1 and not symbols.null_count():
        return {names[0]: times.dt.year().max()}  # type: ignore[dict-item]  # a year is an int
    last = pl.DataFrame({"symbol": symbols, "time": times}).drop_nulls("symbol").group_by("symbol").max()
    return dict(last.select("symbol", pl.col("time").dt.year()).iter_rows())


def file_symbol(file: str, last_year: int | None = None) -> str:
    """Return the id of the instrument that the name of a file means.

    The whole name is tried first (``BRK.B.csv``, ``eurusd.csv``), then the only part that may be an instrument
    (``EURUSD_M1_202401.csv``, ``AAPL Historical Data.csv``).

    Raises:
        DataError: If it means none, or several.
    """
    stem = _ENDINGS.sub("", file)
    found = _instrument(stem, last_year)
    if found is None:
        parts = [part for part in re.split(r"[\s_,()\[\]]+", stem) if part]
        # Vendors write instruments in capitals.
        capitals = (part for part in parts if part == part.upper())
        candidates = {meant for part in capitals if (meant := _instrument(part, last_year)) is not None}
        found = candidates.pop() if len(candidates) == 1 and len(parts) > 1 else None
        if found is None and not candidates:
            found = _only_name(parts, last_year)
    if found is None:
        raise DataError(f"the file's name {file!r} names no single instrument: say which it is, e.g. symbol='AAPL'")
    return found


def _only_name(parts: list[str], last_year: int | None) -> str | None:
    """Return the id of the instrument in ``aapl_daily``, ``AAPL-1d``: the one part that does not describe the file."""
    words = [part if _instrument(part, last_year) else _about_removed(part) for part in parts]
    names = [place for place, word in enumerate(words) if word and not _is_about_file(word)]
    # A later short word may be anything, as in HistoricalData_nasdaq_na.csv.
    if len(names) != 1 or not all(word.lower() in _LENGTHS or _TIMEFRAME.fullmatch(word) for word in words[: names[0]]):
        return None
    return _instrument(words[names[0]], last_year) if words != parts or len(parts) > 1 else None


def _about_removed(part: str) -> str:
    """Return a part of a name without the words about the file that hyphens append to it."""
    pieces = part.split("-")
    while len(pieces) > 1 and _is_about_file(pieces[-1]):
        pieces.pop()
    while len(pieces) > 1 and _is_about_file(pieces[0]):
        pieces.pop(0)
    return "-".join(pieces)


def _is_about_file(text: str) -> bool:
    return text.lower() in _ABOUT_FILES or bool(_TIMEFRAME.fullmatch(text) or _DATES.fullmatch(text))


def _instrument(text: str, last_year: int | None) -> str | None:
    """Return the id of the instrument that a word means, if the word is written like one."""
    if _is_about_file(text):
        return None
    name = text.upper().removesuffix(".US")
    instrument = instrument_or_none(text, last_year)
    if instrument is None or (instrument.id == name and not _is_ticker(name)):
        return None
    return instrument.id


def _is_ticker(name: str) -> bool:
    """Return whether the name of a stock looks like one: up to 5 letters, optionally with a class or venue."""
    return re.fullmatch(r"[A-Za-z0-9]{1,5}([.\- ][A-Za-z0-9]{1,3})?|[A-Z]{3}\.[A-Z]{3}|\S+-\d+\S*", name) is not None
