"""A strategy's features and target: over a whole frame at once, or at each bar over the frame so far.

Both use `Decision`, so a live run and a backtest that start at the same bar get bit-identical values.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import polars as pl

from ibdesk.errors import DecisionError
from ibdesk.interrupts import is_interrupt
from ibdesk.model import Bar, BarHistory
from ibdesk.strategy import Strategy, error_words

TARGET = "target"
"""The column of `evaluate` that holds the wanted position."""

_PRICE_COLUMNS = ("open", "high", "low", "close", "volume")


class Decision:
    """A strategy's expressions, checked once and evaluated over any bars of one instrument."""

    def __init__(self, strategy: Strategy) -> None:
        """Read and check the expressions.

        Raises:
            DecisionError: If the strategy's code fails, or returns anything but expressions.
        """
        self._name = type(strategy).__name__
        try:
            features, target = strategy.features(), strategy.target()
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise DecisionError(f"{self._name}: its features or target fail: {error_words(error)}") from error
        if not isinstance(features, dict):
            raise DecisionError(f"{self._name}: features() must return a dictionary, got {features!r}")
        for name, feature in features.items():
            if name in (*_PRICE_COLUMNS, "opened_at", TARGET):
                raise DecisionError(f"{self._name}: no feature may be called {name!r}: the bars have that column")
            if not isinstance(feature, pl.Expr):
                given = f"got {feature!r}"
                raise DecisionError(f"{self._name}: features() must return a Polars expression for {name!r}, {given}")
        if not (target is None or isinstance(target, pl.Expr)):
            raise DecisionError(f"{self._name}: target() must return a Polars expression or None, got {target!r}")
        self._features = features
        self._wanted = [] if target is None else [target.alias(TARGET)]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(self._features)

    def over(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Return a column per feature, and `target` if declared, with the values of the expressions.

        Raises:
            DecisionError: If an expression fails, names a column that does not exist, or gives another row count.
        """
        try:
            # with_columns, not select: a constant target applies to every bar.
            values = bars.with_columns(**self._features) if self._features else bars
            return values.with_columns(self._wanted).select(*self._features, *(TARGET for _ in self._wanted))
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise DecisionError(f"{self._name}: its features or target fail: {error}") from error

    def last(self, bars: pl.DataFrame) -> dict[str, float | None]:
        """Return the last row of `over` as floats, None for what is null or not finite."""
        result = self.over(bars)
        if not result.width:
            return {}
        return {name: self._figure(name, value) for name, value in result.row(-1, named=True).items()}

    def _figure(self, name: str, value: object) -> float | None:
        if value is None:
            return None
        if not isinstance(value, int | float):
            raise DecisionError(f"{self._name}: {name} must be a number, got {value!r}")
        return float(value) if math.isfinite(value) else None


def evaluate(strategy: Strategy, bars: pl.DataFrame) -> pl.DataFrame:
    """Return a column per feature, and `target` if the strategy declares one, over the bars of one instrument.

    `bars` has ``opened_at`` (Datetime ns, UTC) and the Float64 columns ``open high low close volume``; the result
    has as many rows, in Float64, with null for unknown and non-finite values.

    Raises:
        DecisionError: If an expression fails, names a column that does not exist, or is not numeric.
    """
    result = Decision(strategy).over(bars.select("opened_at", *_PRICE_COLUMNS))
    for name, kind in result.schema.items():
        if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            raise DecisionError(f"{type(strategy).__name__}: {name} must be a number, got {kind}")
    return result.cast(pl.Float64).with_columns(pl.when(pl.all().is_finite()).then(pl.all()))


class FeatureSource(Protocol):
    """Computes the features of one instrument for a run, bar after bar."""

    def warm_up(self, history: BarHistory) -> None:
        """Add past bars, on which nothing is decided."""
        ...

    def step(self, bar: Bar) -> float | None:
        """Add the next closed bar and return the position wanted after it; None is no opinion."""
        ...

    def value(self, name: str) -> float | None:
        """Return a feature at the last bar, None before the first.

        Raises:
            DecisionError: If there is no such feature.
        """
        ...

    def values(self) -> dict[str, float | None]:
        """Return all features at the last bar."""
        ...

    def again(self, strategy: Strategy) -> FeatureSource:
        """Return the features of a strategy with other parameters, over the same bars.

        Raises:
            DecisionError: If they cannot be computed.
        """
        ...


class GrowingFeatures:
    """Features over all bars since the first one of the warm-up, evaluated at each close."""

    def __init__(self, strategy: Strategy) -> None:
        self._decision = Decision(strategy)
        self._columns = np.empty((len(_PRICE_COLUMNS), 1024))
        self._opened_ns = np.empty(1024, dtype=np.int64)
        self._count = 0
        self._last: dict[str, float | None] = {}

    def warm_up(self, history: BarHistory) -> None:
        """Add past bars, on which nothing is decided."""
        prices = (history.open, history.high, history.low, history.close, history.volume)
        for opened_ns, *row in zip(history.opened_ns, *prices, strict=True):
            self._append(opened_ns, row)
        if self._count:
            self._evaluate_last()

    def step(self, bar: Bar) -> float | None:
        """Add the next closed bar and return the position wanted after it; None is no opinion."""
        self._append(bar.opened_ns, [bar.open, bar.high, bar.low, bar.close, bar.volume])
        self._evaluate_last()
        return self._last.get(TARGET)

    def value(self, name: str) -> float | None:
        """Return a feature at the last bar, None before the first. Raises as the protocol says."""
        return self._last.get(_known(name, self._decision.names))

    def values(self) -> dict[str, float | None]:
        """Return all features at the last bar."""
        return {name: self._last.get(name) for name in self._decision.names}

    def again(self, strategy: Strategy) -> GrowingFeatures:
        """Return the features of a strategy with other parameters, over the same bars. Raises as the protocol says."""
        other = GrowingFeatures(strategy)
        other._columns, other._opened_ns, other._count = self._columns, self._opened_ns, self._count
        if other._count:
            other._evaluate_last()
        return other

    def _append(self, opened_ns: int, prices: list[float]) -> None:
        if self._count == len(self._opened_ns):
            self._columns = np.concatenate([self._columns, np.empty_like(self._columns)], axis=1)
            self._opened_ns = np.concatenate([self._opened_ns, np.empty_like(self._opened_ns)])
        self._opened_ns[self._count] = opened_ns
        self._columns[:, self._count] = prices
        self._count += 1

    def _evaluate_last(self) -> None:
        prices = [pl.Series(name, self._columns[i, : self._count]) for i, name in enumerate(_PRICE_COLUMNS)]
        opened_at = pl.Series("opened_at", self._opened_ns[: self._count]).cast(pl.Datetime("ns", "UTC"))
        self._last = self._decision.last(pl.DataFrame([opened_at, *prices]))


class ColumnFeatures:
    """Features that were evaluated over the whole frame in advance, returned row by row.

    They are for the backtest, where the look-ahead test proves that this makes no difference.
    """

    def __init__(self, columns: pl.DataFrame, *, skipped: int = 0, known: int | None = None) -> None:
        """Use `columns`; the first bar is that of the row after the `skipped` ones.

        `known` of the skipped rows, by default all, are past when the run starts: until the first bar arrives, values
        are those of the last known row.
        """
        self._columns = columns
        self._names = tuple(name for name in columns.columns if name != TARGET)
        empty: list[float | None] = [None] * columns.height
        self._targets = columns[TARGET].to_list() if TARGET in columns.columns else empty
        self._row, self._first = skipped - 1, skipped
        self._known = (skipped if known is None else known) - 1

    def warm_up(self, history: BarHistory) -> None:
        """Skip the rows of past bars, on which nothing is decided."""
        count = len(history.opened_ns)
        self._row, self._first, self._known = self._row + count, self._first + count, self._known + count

    def step(self, bar: Bar) -> float | None:  # noqa: ARG002 - the row is known; the bar is not needed
        """Move to the next row and return the position wanted after it; None is no opinion."""
        self._row += 1
        return self._targets[self._row]

    def value(self, name: str) -> float | None:
        """Return a feature at the last row, None before the first. Raises as the protocol says."""
        column = self._columns[_known(name, self._names)]
        row = self._row if self._row >= self._first else self._known
        return column[row] if row >= 0 else None

    def values(self) -> dict[str, float | None]:
        """Return all features at the last row."""
        return {name: self.value(name) for name in self._names}

    def again(self, strategy: Strategy) -> ColumnFeatures:
        """Raise: a backtest has one set of parameters. See the protocol."""
        raise DecisionError(f"{type(strategy).__name__}: the parameters of a backtest cannot change while it runs")


def _known(name: str, names: tuple[str, ...]) -> str:
    if name not in names:
        raise DecisionError(f"there is no feature {name!r}: the features are {', '.join(names) or 'none'}")
    return name
