"""Vendors' tables that are recognized by their header or their first line."""

from __future__ import annotations

import re

import polars as pl

from ibdesk.data.bars import INTERVAL, PRICES
from ibdesk.data.content import Content
from ibdesk.data.formats.raw import RawBars, find_columns, named
from ibdesk.data.formats.registry import BarFormat
from ibdesk.data.formats.tables import read_headerless, read_named
from ibdesk.errors import DataError

# HistData: "Eastern Standard Time (EST) time-zone WITHOUT Day Light Savings adjustments" (histdata.com, F.A.Q.).
_EST = "Etc/GMT+5"
_NEW_YORK = "America/New_York"
_DUKASCOPY = r"(gmt|local)time|time\((utc|gmt|eet|est|local)\)"
_STOOQ = ["ticker", "per", "date", "time", "open", "high", "low", "close", "vol"]


# ---- Stooq -----------------------------------------------------------------------------------------------------------


def _is_stooq(content: Content) -> bool:
    return content.header[: len(_STOOQ)] == _STOOQ


def _read_stooq(content: Content) -> RawBars:
    """Read Stooq's table: PER is D, W, M or minutes; the zone of its times is not documented."""
    raw = read_named(content)
    per = content.table(1)["c1"].str.strip_chars().str.to_uppercase()
    lengths = {text: _stooq_length(text, content.name) for text in per.unique().drop_nulls()}
    if all(length == "1 day" for length in lengths.values()):
        # The time of a daily bar is all zeros.
        raw.frame = raw.frame.rename({"date": "opened_at"}).drop("time") if "date" in raw.frame.columns else raw.frame
        raw.names["opened_at"] = raw.names.get("date", "DATE")
    if all(lengths.values()):
        raw.frame = raw.frame.with_columns(per.replace_strict(lengths, default=None).alias(INTERVAL))
    raw.notes = tuple(note for note in raw.notes if "PER" not in note)
    return raw


def _stooq_length(per: str, where: str) -> str | None:
    if per.isdecimal() and 0 < int(per) < 1440:
        return f"{int(per)} mins"
    if per not in {"D", "W", "M"}:
        raise DataError(f"{where}: {per!r} in the column <PER> is not a length that Stooq uses: D, W, M or minutes")
    return "1 day" if per == "D" else None


# ---- MetaTrader ------------------------------------------------------------------------------------------------------


def _is_metatrader(content: Content) -> bool:
    return bool(content.head) and content.head[0][0].upper() == "<DATE>" and "tickvol" in content.header


def _read_metatrader(content: Content) -> RawBars:
    """Read MetaTrader 5 exports: VOL is 0 if a venue reports none; TICKVOL counts price changes."""
    header = content.head[0]
    table = content.table(1)
    found = find_columns(header)
    places = {name: content.header.index(name) for name in ("vol", "tickvol") if name in content.header}
    traded = "vol" in places and (table[f"c{places['vol']}"].str.strip_chars() != "0").any()
    found["volume"] = places["vol" if traded else "tickvol"]
    raw = named(table, header, found)
    raw.notes += (f"volume is {header[found['volume']]}",)
    return raw


# ---- Dukascopy -------------------------------------------------------------------------------------------------------


def _is_dukascopy(content: Content) -> bool:
    return bool(content.header) and re.fullmatch(_DUKASCOPY, content.header[0]) is not None


def _read_dukascopy(content: Content) -> RawBars:
    """Read a JForex export: the header names the zone, or local times carry their offset; the day comes first."""
    raw = read_named(content) if content.header[0] in {"gmttime", "localtime"} else _with_time_first(content)
    word = content.header[0]
    zone = {"gmttime": "UTC", "time(utc)": "UTC", "time(gmt)": "UTC", "time(eet)": "EET", "time(est)": "EST"}.get(word)
    raw.own_zone, raw.own_date_order = zone, "dmy"
    return raw


def _with_time_first(content: Content) -> RawBars:
    header = content.head[0]
    return named(content.table(1), header, {**find_columns(header), "opened_at": 0})


# ---- without a header ------------------------------------------------------------------------------------------------


def _is_ninjatrader(content: Content) -> bool:
    """Return whether lines are ``20240101 170000;open;high;low;close;volume``."""
    return (
        content.delimiter == ";"
        and bool(content.head)
        and all(len(cells) == 6 and re.fullmatch(r"\d{8} \d{6}", cells[0]) for cells in content.head)
    )


def _is_histdata(content: Content) -> bool:
    # HistData has no volumes and writes 0; NinjaTrader, whose layout it uses, exports volumes.
    return _is_ninjatrader(content) and all(cells[5] == "0" for cells in content.head)


def _read_histdata(content: Content) -> RawBars:
    raw = read_headerless(content)
    raw.zone = _EST
    raw.notes += ("HistData's times are Eastern Standard Time all year",)
    return raw


def _is_kibot(content: Content) -> bool:
    return (
        bool(content.head)
        and all(re.fullmatch(r"\d\d/\d\d/\d{4}", cells[0]) for cells in content.head)
        and (len(content.head[0]) in {6, 7} and not re.search("[A-Za-z$]", "".join(content.head[0])))
    )


# ---- with a header that names the vendor -----------------------------------------------------------------------------


def _is_nasdaq(content: Content) -> bool:
    return "close/last" in content.header


def _read_nasdaq(content: Content) -> RawBars:
    raw = read_named(content)
    raw.own_date_order = "mdy"
    return raw


def _is_investing(content: Content) -> bool:
    return content.header[:6] == ["date", "price", "open", "high", "low", "vol"] or (
        {"date", "price", "open", "high", "low", "change%"} <= set(content.header)
    )


def _read_investing(content: Content) -> RawBars:
    header = content.head[0]
    return named(content.table(1), header, {**find_columns(header), "close": content.header.index("price")})


def _is_ib(content: Content) -> bool:
    return {"average", "barcount"} <= set(content.header) and "date" in content.header


def _read_ib(content: Content) -> RawBars:
    """Read TWS's bars as ib_async and ibapi write them: a volume of -1 means none."""
    raw = read_named(content)
    volume = pl.col("volume").str.strip_chars()
    if "volume" in raw.frame.columns:
        none = volume.is_in(["-1", "-1.0"])
        raw.frame = raw.frame.with_columns(pl.when(none).then(pl.lit("0")).otherwise(volume).alias("volume"))
    return raw


def _is_tradingview(content: Content) -> bool:
    return (
        content.header[:5] == ["time", *PRICES]
        and bool(content.head[1:])
        and (re.fullmatch(r"-?\d{6,10}|\d{4}-\d\d-\d\d(T.*)?", content.head[1][0]) is not None)
    )


def _is_alpha_vantage(content: Content) -> bool:
    return (
        content.header[:6] == ["timestamp", *PRICES, "volume"]
        and len(content.head) > 2
        and (content.head[1][0] > content.head[2][0])
    )


def _is_yahoo(content: Content) -> bool:
    return {"dividends", "stocksplits"} <= set(content.header)


FORMATS = (
    BarFormat(
        name="firstrate",
        about="FirstRate Data, by name only, as its files are not marked: New York time",
        recognizes=lambda _: False,
        read=read_headerless,
        zone=_NEW_YORK,
    ),
    BarFormat(name="stooq", about="Stooq, daily and intraday; zone unstated", recognizes=_is_stooq, read=_read_stooq),
    BarFormat(
        name="metatrader",
        about="MetaTrader 5 exports; times are the broker's, zone unstated",
        recognizes=_is_metatrader,
        read=_read_metatrader,
    ),
    BarFormat(
        name="dukascopy",
        about="Dukascopy JForex; GMT, or as the header says",
        recognizes=_is_dukascopy,
        read=_read_dukascopy,
    ),
    BarFormat(
        name="histdata",
        about="HistData M1; Eastern Standard Time all year",
        recognizes=_is_histdata,
        read=_read_histdata,
    ),
    BarFormat(
        name="ninjatrader", about="NinjaTrader exports; zone unstated", recognizes=_is_ninjatrader, read=read_headerless
    ),
    BarFormat(
        name="kibot",
        about="Kibot, daily and intraday; by name: New York time, month first",
        recognizes=_is_kibot,
        read=read_headerless,
        zone=_NEW_YORK,
        date_order="mdy",
    ),
    BarFormat(name="nasdaq", about="Nasdaq.com; month first, newest first", recognizes=_is_nasdaq, read=_read_nasdaq),
    BarFormat(
        name="investing",
        about="Investing.com; order of dates by the site's country",
        recognizes=_is_investing,
        read=_read_investing,
    ),
    BarFormat(name="ib", about="Interactive Brokers' own bars, daily and intraday", recognizes=_is_ib, read=_read_ib),
    BarFormat(
        name="tradingview", about="TradingView; seconds since 1970 or ISO", recognizes=_is_tradingview, read=read_named
    ),
    BarFormat(
        name="alphavantage",
        about="Alpha Vantage CSV, newest first; by name: New York time",
        recognizes=_is_alpha_vantage,
        read=read_named,
        zone=_NEW_YORK,
    ),
    BarFormat(
        name="yahoo",
        about="Yahoo history as yfinance writes it for one ticker",
        recognizes=_is_yahoo,
        read=read_named,
    ),
)
