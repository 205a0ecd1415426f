"""The number of bars that a strategy's expressions need before they have values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from ibdesk.strategy.base import Strategy

# The number of bars on which expressions with Python functions, which cannot be analyzed, are evaluated.
_TRIED = 4_096


def bars_needed(strategy: Strategy) -> int:
    """Return the number of bars, including the newest, that a strategy's features and target need; at least 1.

    A window needs all its bars, and a shift or a difference the bars before. An exponentially weighted average needs
    as many bars as its span, even if it has a value sooner: by then 86 % of its weight is on later prices than the
    first. Anything that an expression does not state in numbers counts as one bar.
    """
    features = {name: _of_feature(expr) for name, expr in strategy.features().items()}
    target = strategy.target()
    wanted = None if target is None else _read(target)
    return max([1, *features.values(), 1 if wanted is None else _needs(wanted, features)])


def _of_feature(expr: pl.Expr) -> int:
    node = _read(expr)
    return _tried(expr) if node is None else _needs(node, {})


def _read(expr: pl.Expr) -> Any:
    """Return an expression as Polars serializes it to JSON, or None if it cannot."""
    try:
        return json.loads(expr.meta.serialize(format="json"))
    except (pl.exceptions.PolarsError, ImportError):
        return None


def _needs(node: Any, features: Mapping[str, int]) -> int:
    """Return the number of bars that a part of an expression needs."""
    match node:
        case {"Column": str(name)}:
            return features.get(name, 1)
        case {"Function": {"input": inputs, "function": function}}:
            return max([1, *(_needs(part, features) for part in inputs)]) + _more(function, inputs)
        case dict():
            return max([1, *(_needs(part, features) for part in node.values())])
        case list():
            return max([1, *(_needs(part, features) for part in node)])
    return 1


def _more(function: Any, inputs: list[Any]) -> int:
    """Return the number of bars that a function needs before the current one."""
    match function:
        case {"RollingExpr": {"options": {"window_size": int(size)}}}:
            return size - 1
        case {"EwmMean": {"options": options}} | {"EwmStd": {"options": options}} | {"EwmVar": {"options": options}}:
            # alpha = 2 / (span + 1); ignore the rounding error of the binary fraction.
            span = math.ceil(2 / float(options["alpha"]) - 1 - 1e-9)
            return max(span, int(options["min_periods"]), 1) - 1
        case "Shift" | "ShiftAndFill" | "PctChange" | {"Diff": _}:
            return max(0, _whole_number(inputs[1])) if len(inputs) > 1 else 1
    return 0


def _whole_number(node: Any) -> int:
    match node:
        case {"Literal": {"Dyn": {"Int": int(number)}}}:
            return number
        case {"Literal": {"Scalar": dict(typed)}} | {"Literal": dict(typed)}:
            return next((figure for figure in typed.values() if isinstance(figure, int)), 0)
    return 0


def _tried(expr: pl.Expr) -> int:
    """Return the number of bars that a feature needs, from its null values at the start of synthetic bars."""
    steps = np.arange(_TRIED)
    close = 100.0 + np.sin(steps * 0.7) + np.sin(steps * 0.013) * 5
    opened_at = pl.Series("opened_at", steps * 60_000_000_000).cast(pl.Datetime("ns", "UTC"))
    bars = pl.DataFrame(
        {"open": close - 0.1, "high": close + 1, "low": close - 1, "close": close, "volume": close}
    ).with_columns(opened_at)
    try:
        values = bars.select(value=expr)["value"]
    except (pl.exceptions.PolarsError, TypeError, ValueError):
        # The error is raised and reported again on real prices.
        return 1
    known = values.is_not_null().arg_max() if len(values) == _TRIED and values.null_count() < _TRIED else None
    return 1 if known is None else known + 1
