"""The exponential moving average, as a Polars expression and as an incremental step, equal bit for bit."""

from __future__ import annotations

import polars as pl


def ema(column: str | pl.Expr, span: int) -> pl.Expr:
    """Return the exponential moving average of a column, as a Polars expression (Float64).

    The recursion is ``y = y + alpha * (x - y)`` with ``alpha = 2 / (span + 1)``, started at the first value
    (Polars ``ewm_mean(adjust=False)``). The first ``span - 1`` values are null; a null input gives a null and lets
    the weight of the past decay by one step; a NaN makes everything after it NaN.

    Raises:
        ValueError: If the span is below 1.
    """
    expr = pl.col(column) if isinstance(column, str) else column
    return expr.ewm_mean(span=_checked(span), adjust=False, min_samples=span)


class Ema:
    """The same average, updated one value at a time in O(1)."""

    __slots__ = ("_alpha", "_seen", "_span", "_value", "_weight")

    def __init__(self, span: int) -> None:
        self._span = _checked(span)
        # 1 / (1 + com) with com = (span - 1) / 2: Polars computes it in this form, which gives the same bits.
        self._alpha = 2.0 / (span + 1.0)
        self._value: float | None = None
        # The remaining weight of the past, of one, after nulls.
        self._weight = 1.0
        self._seen = 0

    def update(self, value: float | None) -> float | None:
        """Return the average including `value`; None until `span` values were seen, and for a None."""
        if value is None:
            if self._value is not None:
                self._weight *= 1.0 - self._alpha
            return None
        self._seen += 1
        if self._value is None:
            self._value = value
        elif self._weight == 1.0:
            self._value += self._alpha * (value - self._value)
        else:
            past = self._weight * (1.0 - self._alpha)
            self._value += (self._alpha / (past + self._alpha)) * (value - self._value)
            self._weight = 1.0
        return self._value if self._seen >= self._span else None


def _checked(span: int) -> int:
    if span < 1:
        raise ValueError(f"an EMA needs a span of at least 1, got {span}")
    return span
