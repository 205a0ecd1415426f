"""Figures as TWS writes them, and its markers of unset values."""

from __future__ import annotations

import math

NAN = float("nan")
# TWS and clients print the largest double in several forms; no traded figure comes near.
_UNSET_ABOVE = 1e300
# The largest integers of 32 and 64 bits and the smallest of 64 bits: TWS's markers of unset decimals.
_UNSET = frozenset({2147483647.0, 9223372036854775807.0, -9223372036854775808.0})


def known(value: float) -> float:
    """Return the number, NaN if it is one of TWS's markers of an unset value."""
    return NAN if value in _UNSET or not abs(value) < _UNSET_ABOVE else value


def figure(text: str) -> float:
    """Return the number in a field, NaN if TWS left it unset.

    Raises:
        ValueError: If the text is not a number.
    """
    return known(float(text)) if text else NAN


def figure_or_nan(text: str) -> float:
    """Return the number in a field, NaN if it is unset or not a number."""
    try:
        return figure(text)
    except ValueError:
        return NAN


def is_known(value: float) -> bool:
    """Return whether TWS sent a number."""
    return not math.isnan(value)
