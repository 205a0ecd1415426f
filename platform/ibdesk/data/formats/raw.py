"""The result of a format's reader: columns under ibdesk's names, with values as written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import polars as pl

from ibdesk.data.bars import INTERVAL, PRICES
from ibdesk.data.content import plain
from ibdesk.data.layouts import is_clock, layout_of
from ibdesk.errors import DataError

# Common names of columns, as `plain` spells them, the most specific first.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker", "instrument", "sym", "name", "code"),
    "opened_at": (
        *("openedat", "datetime", "timestamp", "date/time", "dateandtime", "gmttime", "utctime", "localtime"),
        *("tsevent", "opentime", "utc", "gmt", "t", "index"),
    ),
    "date": ("date", "day", "tradedate", "dtyyyymmdd", "yyyymmdd", "data", "datum"),
    "time": ("time", "timeofday", "hour", "clock", "czas", "zeit"),
    "open": ("open", "o", "openprice", "1open", "otwarcie", "er\N{LATIN SMALL LETTER O WITH DIAERESIS}ffnung", "first"),
    "high": ("high", "h", "highprice", "2high", "najwyzszy", "hoch", "max"),
    "low": ("low", "l", "lowprice", "3low", "najnizszy", "tief", "min"),
    "close": (
        *("close", "c", "last", "closeprice", "4close", "close/last", "lastprice", "zamkniecie", "schluss"),
        *("schlusskurs", "settle"),
    ),
    "volume": ("volume", "vol", "v", "5volume", "wolumen", "volumen", "tickvolume", "tickvol"),
    INTERVAL: ("interval",),
}
_ADJUSTED = ("adjclose", "adjustedclose", "5adjustedclose", "closeadj")


class RawBars(msgspec.Struct, kw_only=True):
    """Bars as a format found them.

    * `frame`: `opened_at`, or `date` and `time`; `open`, `high`, `low`, `close`; optionally `symbol`, `volume` and
      `interval`. Values are text or already typed. Rows are in the file's order.
    * `names`: the file's names of the columns, for messages.
    * `zone`, `date_order`: the vendor's statement about all its files; the caller may override it.
    * `own_zone`, `own_date_order`: the file's own statement, which the caller cannot override.
    * `day_zone`: times that are all midnights in this zone are dates.
    * `symbol`: the file's own name of its only instrument.
    * `notes`: how the file was read.
    """

    frame: pl.DataFrame
    names: dict[str, str] = {}
    zone: str | None = None
    day_zone: str | None = None
    date_order: str | None = None
    own_zone: str | None = None
    own_date_order: str | None = None
    symbol: str | None = None
    notes: tuple[str, ...] = ()


def find_columns(header: Sequence[str]) -> dict[str, int]:
    """Return the position of each known column in a header.

    Raises:
        DataError: If a column occurs twice.
    """
    spelled = [plain(name) for name in header]
    found: dict[str, int] = {}
    for name, spellings in SPELLINGS.items():
        for spelling in spellings:
            if spelling not in spelled:
                continue
            if spelled.count(spelling) > 1:
                times = spelled.count(spelling)
                raise DataError(f"the column {header[spelled.index(spelling)]} occurs {times} times: keep one")
            found[name] = spelled.index(spelling)
            break
    # pandas writes an index first and without a name.
    if spelled and spelled[0] in {"", "unnamed:0"} and not found.keys() & {"opened_at", "date", "time"}:
        found["opened_at"] = 0
    return found


def has_prices(found: Mapping[str, int]) -> bool:
    """Return whether a header has the columns that every table of bars needs."""
    return all(name in found for name in PRICES) and bool(found.keys() & {"opened_at", "date", "time"})


def named(table: pl.DataFrame, header: Sequence[str], found: Mapping[str, int]) -> RawBars:
    """Return a table under ibdesk's names, with a note about ignored columns.

    Raises:
        DataError: If a required column is missing.
    """
    if not has_prices(found):
        missing = [name for name in PRICES if name not in found]
        missing += [] if found.keys() & {"opened_at", "date", "time"} else ["a date or time"]
        raise DataError(f"it lacks {', '.join(missing)}: its columns are {', '.join(map(str, header))[:300]}")
    columns = {name: table.columns[place] for name, place in found.items() if place < table.width}
    frame = table.select(pl.col(column).alias(name) for name, column in columns.items())
    raw = RawBars(frame=frame, names={name: header[place] for name, place in found.items()})
    choose_time(raw)
    unused = [name for place, name in enumerate(header) if place not in found.values() and name.strip()]
    adjusted = [name for name in unused if plain(name) in _ADJUSTED]
    if adjusted:
        raw.notes += (f"prices are as in {raw.names['close']}, not as in {adjusted[0]}",)
    if rest := [name for name in unused if name not in adjusted]:
        more = f" and {len(rest) - 12} more" if len(rest) > 12 else ""
        raw.notes += (f"columns left out: {', '.join(rest[:12])}{more}",)
    return raw


def choose_time(raw: RawBars) -> None:
    """Choose the columns of the time: one for date and time, or a date and a time of day."""
    frame, names = raw.frame, raw.names
    date, time, instant = (name if name in frame.columns else None for name in ("date", "time", "opened_at"))
    if date and instant and _is_clock(frame[instant]):
        time, instant = instant, None
    if date and time and _is_clock(frame[time]) and not _has_clock(frame[date]):
        raw.frame = frame.with_columns(date=pl.col(date), time=pl.col(time))
        raw.frame = raw.frame.drop("opened_at", strict=False) if instant is None else raw.frame.drop("opened_at")
        names["time"] = names.get(time, time)
        return
    chosen = instant or date or time
    if chosen is None:
        return
    raw.frame = frame.rename({chosen: "opened_at"}) if chosen != "opened_at" else frame
    names["opened_at"] = names.get(chosen, chosen)
    raw.frame = raw.frame.drop("date", "time", strict=False)


def _is_clock(column: pl.Series) -> bool:
    if column.dtype == pl.Time:
        return True
    first = _first(column)
    return first is not None and (is_clock(first) or (first.isdecimal() and len(first) <= 6))


def _has_clock(column: pl.Series) -> bool:
    """Return whether a column of dates contains times of day."""
    if isinstance(column.dtype, pl.Datetime):
        return bool((column.dt.time() != pl.select(pl.time(0)).item()).any())
    first = _first(column)
    layout = None if first is None else layout_of(first)
    return layout is not None and layout.has_clock


def _first(column: pl.Series) -> str | None:
    if column.dtype != pl.String:
        known = column.drop_nulls()
        return str(known[0]) if len(known) and column.dtype.is_integer() else None
    filled = column.drop_nulls().str.strip_chars()
    return next(iter(filled.filter(filled != "").head(1)), None)
