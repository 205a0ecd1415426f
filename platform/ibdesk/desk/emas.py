"""Moving averages of every watched symbol's bars, for display; strategies do not use them."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Any, Self

import polars as pl

from ibdesk.store import Feed, Row, Topic

_log = logging.getLogger(__name__)

# Bars that close within this time are averaged together.
_REST_SECONDS = 0.05
# Bars kept per symbol, in case an older one arrives late.
_KEPT_BARS = 1_000

_Key = tuple[str, int]


class _Series:
    """The bars of one symbol and interval, and the current averages by span, over `counted` bars."""

    __slots__ = ("closes", "counted", "newest", "values")

    def __init__(self) -> None:
        self.closes: dict[int, float] = {}
        self.newest = -1
        self.counted = 0
        self.values: list[float | None] = []


class EmaBoard:
    """Averages of closes by symbol and interval, all symbols in one Polars expression; bit-equal to the whole series'.

    A series begins with the first known bar; after an older or corrected bar it is averaged again.
    """

    def __init__(self, spans: tuple[int, ...]) -> None:
        self._names = [f"ema_{span}" for span in spans]
        averages = [
            pl.col(name).ewm_mean(span=span, adjust=False).last() for name, span in zip(self._names, spans, strict=True)
        ]
        enough = [pl.col("bars").last() >= span for span in spans]
        self._query = [
            *averages,
            *(each.alias(f"{name}_known") for name, each in zip(self._names, enough, strict=True)),
        ]
        self._series: dict[_Key, _Series] = {}

    def take(self, bars: list[Row]) -> list[Row]:
        """Return a row of averages for each symbol and interval that these rows of the topic `bars` change."""
        columns: dict[str, list[Any]] = {name: [] for name in self._names}
        numbers: list[int] = []
        counts: list[int] = []
        touched = self._sorted_in(bars)
        for number, (key, closes) in enumerate(touched.items()):
            series = self._series[key]
            # The current average replaces all earlier bars: an average begins with its first value.
            begun = [series.values] if series.values else []
            for place, name in enumerate(self._names):
                columns[name] += [*(values[place] for values in begun), *closes]
            series.counted += len(closes)
            numbers += [number] * (len(begun) + len(closes))
            counts += [series.counted] * (len(begun) + len(closes))
        if not numbers:
            return []
        floats = dict.fromkeys(self._names, pl.Float64)
        frame = pl.DataFrame({"series": numbers, "bars": counts} | columns, schema_overrides=floats)
        averaged = frame.group_by("series", maintain_order=True).agg(self._query)
        return [self._row(key, *values) for key, (_, *values) in zip(touched, averaged.iter_rows(), strict=True)]

    def _sorted_in(self, bars: list[Row]) -> dict[_Key, list[float]]:
        """Return the closes to average by series: the new ones, or all if the series is averaged again."""
        fresh: dict[_Key, list[float]] = {}
        anew: set[_Key] = set()
        for bar in bars:
            key, opened_ns, close = (bar["symbol"], bar["interval_ns"]), bar["opened_ns"], bar["close"]
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = _Series()
            known = series.closes.get(opened_ns)
            if known == close:
                continue
            if known is not None or opened_ns < series.newest:
                anew.add(key)
            series.closes[opened_ns] = close
            series.newest = max(series.newest, opened_ns)
            fresh.setdefault(key, []).append(close)
        for key in anew:
            series = self._series[key]
            series.closes = dict(sorted(series.closes.items()))
            series.values, series.counted = [], 0
            fresh[key] = list(series.closes.values())
        for key in fresh:
            closes = self._series[key].closes
            while len(closes) > _KEPT_BARS:
                del closes[next(iter(closes))]
        return fresh

    def _row(self, key: _Key, *averages: float) -> Row:
        series, spans = self._series[key], len(self._names)
        series.values = list(averages[:spans])
        known = zip(self._names, averages[:spans], averages[spans:], strict=True)
        row: Row = {"symbol": key[0], "interval_ns": key[1], "opened_ns": series.newest}
        return row | {name: value if enough else None for name, value, enough in known}


class EmaMonitor:
    """A context manager that follows the bars of a feed in its own thread and publishes their averages there."""

    def __init__(self, feed: Feed, spans: tuple[int, ...]) -> None:
        self._feed, self._board = feed, EmaBoard(spans)
        self._woken, self._ending = threading.Event(), threading.Event()
        self._reader, rows = feed.subscribe(self._woken.set, topics=[Topic.BARS])
        self._publish(rows[Topic.BARS])
        self._thread = threading.Thread(target=self._run, name="ibdesk-emas", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        reader = self._reader
        try:
            while not self._ending.wait(_REST_SECONDS):
                self._woken.wait()
                self._woken.clear()
                rows, overrun = reader.drain()
                self._publish(self._feed.snapshot([Topic.BARS])[Topic.BARS] if overrun else rows.get(Topic.BARS, []))
        except Exception:  # noqa: BLE001 - an error here must not end the desk
            _log.exception("the moving averages for display failed")
        finally:
            self._feed.unsubscribe(reader)

    def _publish(self, bars: list[Row]) -> None:
        rows = self._board.take(bars)
        self._feed.publish_all([(Topic.EMAS, f"{row['symbol']}/{row['interval_ns']}", row) for row in rows])
