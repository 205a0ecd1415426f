"""Splits of stocks: detected in prices, and removed from them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from ibdesk.data.bars import DAY_NS, PRICES
from ibdesk.data.trading_dates import trading_dates
from ibdesk.errors import DataError
from ibdesk.model import AnyInstrument, Stock

# Common splits: new shares per old share, and the reverse.
_FORWARD = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0)
_REVERSE = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 35, 40, 50, 60, 75, 80, 100)
_RATIOS = (*_FORWARD, *(1.0 / shares for shares in _REVERSE))
# A smaller jump from a close to the next open is not a split.
_LEAST = 1.4
# The distance of a suspected split's open from its ratio: one and a half usual moves, but within these fractions;
# and of its close: this fraction, or five usual moves.
_NEAREST, _FARTHEST, _CLOSE_NEAREST = 0.015, 0.05, 0.03
# The days before and after a suspected split that are compared with each other.
_BEFORE, _AFTER = 20, 5
# A crash is followed by moves, and has a range and a volume, of a multiple of the usual ones.
_CALM_FACTOR, _RANGE_FACTOR, _VOLUME_FACTOR = 3.0, 8.0, 5.0
# A dividend on the day of a split changes the ratio of quoted and adjusted close by at most this fraction.
_TOLERANCE = 0.01

_Floats = npt.NDArray[np.float64]


class Split(msgspec.Struct, frozen=True):
    """A split: from `on` on, `ratio` shares replace one."""

    symbol: str
    on: dt.date
    ratio: float

    @classmethod
    def parse(cls, text: str) -> Split:
        """Return the split that ``AAPL 2020-08-31 4:1`` describes.

        Raises:
            DataError: If the text has another form.
        """
        match = re.fullmatch(r"\s*(\S.*?)\s+(\d{4}-\d\d-\d\d)\s+([\d.]+)\s*(?:[:/]\s*([\d.]+))?\s*", text)
        try:
            if match is None:
                raise ValueError(text)
            ratio = float(match[3]) / float(match[4] or 1)
            return cls(match[1], dt.date.fromisoformat(match[2]), _checked(ratio))
        except (ValueError, ZeroDivisionError):
            raise DataError(f"split {text!r} is not of the form 'AAPL 2020-08-31 4:1'") from None

    @property
    def words(self) -> str:
        """The ratio in words: 2:1, 3:2, 1:10."""
        for old in (1, 2, 3):
            if abs(self.ratio * old - round(self.ratio * old)) < 1e-9 and round(self.ratio * old):
                return f"{round(self.ratio * old)}:{old}"
        return f"1:{1 / self.ratio:g}"


def _checked(ratio: float) -> float:
    if not 0 < ratio < float("inf"):
        raise ValueError(ratio)
    return ratio


def adjust_for_splits(bars: pl.DataFrame, splits: Iterable[Split], *, time: str = "opened_at") -> pl.DataFrame:
    """Return the bars with the prices before each split divided by its ratio, and their volumes multiplied by it.

    `time` is the column of dates or times; a time belongs to its date in its own zone.
    """
    date = pl.col(time) if bars.schema[time] == pl.Date else pl.col(time).dt.date()
    adjusted = bars
    for split in splits:
        before = (pl.col("symbol") == split.symbol) & (date < split.on)
        ratio = pl.when(before).then(split.ratio).otherwise(1.0)
        adjusted = adjusted.with_columns(*(pl.col(name) / ratio for name in PRICES), pl.col("volume") * ratio)
    return adjusted


def find_splits(quoted: pl.DataFrame) -> list[Split]:
    """Return the splits that quoted and adjusted prices show, by symbol and date.

    On the day of a split, the quoted close falls by its ratio and the adjusted close does not, so the ratio of the two
    falls by exactly the split's ratio. A crash moves both, and a dividend changes their ratio by a small fraction.
    """
    factor = pl.col("close") / pl.col("adjusted_close")
    jumps = quoted.select("symbol", "date", jump=(factor.shift(1) / factor).over("symbol"))
    return [
        Split(row["symbol"], row["date"], ratio)
        for row in jumps.filter((pl.col("jump") - 1).abs() > _TOLERANCE).iter_rows(named=True)
        for ratio in _RATIOS
        if abs(row["jump"] / ratio - 1) < _TOLERANCE
    ]


def suspect_splits(
    bars: pl.DataFrame, intervals: Mapping[str, int], instruments: Mapping[str, AnyInstrument | None]
) -> Iterator[str]:
    """Yield a sentence for each day of a stock that looks like an unadjusted split."""
    for symbol in sorted(intervals):
        instrument = instruments[symbol]
        if not isinstance(instrument, Stock):
            continue
        part = bars if len(intervals) == 1 else bars.filter(pl.col("symbol") == symbol)
        if not part.select(_jumps(pl.col("close").shift(1) / pl.col("open"))).item():
            continue
        days = _days(part, instrument, intervals[symbol])
        for split, before, after in _suspected(symbol, days):
            yield (
                f"{symbol}: {split.on} looks like a split of {split.words} ({before:g} -> {after:g}): pass "
                f"splits=['{symbol} {split.on} {split.words}'] if it was one"
            )


def _jumps(ratio: pl.Expr) -> pl.Expr:
    return ((ratio > _LEAST) | (ratio < 1 / _LEAST)).any()


def _days(bars: pl.DataFrame, instrument: Stock, interval: int) -> pl.DataFrame:
    """Return date, open, high, low, close and volume of each day."""
    dates = trading_dates(bars["opened_at"], interval, instrument.session).alias("date")
    if interval >= DAY_NS:
        return bars.select(dates, *PRICES, "volume")
    prices = (pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last())
    return bars.group_by(dates, maintain_order=True).agg(*prices, pl.col("volume").sum())


def _suspected(symbol: str, days: pl.DataFrame) -> Iterator[tuple[Split, float, float]]:
    """Yield the suspected splits of one symbol with the closes around each.

    A day is suspected if its open is at a common ratio to the close before, within `_NEAREST` or one and a half usual
    moves (up to `_FARTHEST`), and its close is near the same ratio; if its range is at most `_RANGE_FACTOR` usual
    moves, and the moves of the days after it `_CALM_FACTOR`; if the prices before and after it stay at their level; and
    if its volume is not that of a panic. Any other fall by half is a crash.
    """
    if days.height < 2:
        return
    opens, highs, lows, closes, volumes = (days[name].to_numpy() for name in (*PRICES, "volume"))
    with np.errstate(divide="ignore", invalid="ignore"):
        jumps = closes[:-1] / opens[1:]
    for index in np.flatnonzero((jumps > _LEAST) | (jumps < 1 / _LEAST)) + 1:
        past, after = closes[max(0, index - _BEFORE) : index], closes[index : index + 1 + _AFTER]
        usual, before = _usual_move(past), past[-1]
        ratio = _ratio_near(before / opens[index], min(max(_NEAREST, 1.5 * usual), _FARTHEST))
        if ratio is None or abs(before / closes[index] / ratio - 1) > max(_CLOSE_NEAREST, 5 * usual):
            continue
        calm = _CALM_FACTOR * max(usual, 0.01)
        if (
            highs[index] / lows[index] - 1 <= _RANGE_FACTOR * max(usual, 0.01)
            and _usual_move(after) <= calm
            and abs(float(np.median(after)) / (before / ratio) - 1) <= 3 * calm
            and abs(float(np.median(past[-1 - _AFTER :])) / before - 1) <= 3 * calm
            and _is_usual_volume(volumes, int(index), ratio)
        ):
            yield Split(symbol, days["date"][int(index)], ratio), float(before), float(closes[index])


def _ratio_near(jump: float, near: float) -> float | None:
    nearest = min(_RATIOS, key=lambda ratio: abs(jump / ratio - 1))
    return nearest if abs(jump / nearest - 1) <= near else None


def _usual_move(closes: _Floats) -> float:
    """Return the median move from close to close, as a fraction; 0 if there is none."""
    return float(np.median(np.abs(closes[1:] / closes[:-1] - 1))) if len(closes) > 1 else 0.0


def _is_usual_volume(volumes: _Floats, index: int, ratio: float) -> bool:
    before = float(np.median(volumes[max(0, index - _BEFORE) : index]))
    return before <= 0 or volumes[index] <= _VOLUME_FACTOR * max(ratio, 1.0) * before
