"""Figures as TWS writes them, and the ways in which it says that it has none."""

from __future__ import annotations

import math

NAN = float("nan")
# The largest double, as TWS and clients print it in several forms; nothing that is traded comes near.
_UNSET_ABOVE = 1e300
# The largest integers of 32 and 64 bits, and the smallest one of 64, by which TWS marks unset decimals.
_UNSET = frozenset({2147483647.0, 9223372036854775807.0, -9223372036854775808.0})


def known(value: float) -> float:
    """Return the number, NaN if it is one of the values by which TWS says that there is none."""
    return NAN if value in _UNSET or not abs(value) < _UNSET_ABOVE else value


def figure(text: str) -> float:
    """Return the number that a field holds, NaN where TWS has left it unset.

    Raises:
        ValueError: If the text is not a number.
    """
    return known(float(text)) if text else NAN


def figure_or_nan(text: str) -> float:
    """Return the number that a field holds, NaN also where the text is not a number."""
    try:
        return figure(text)
    except ValueError:
        return NAN


def is_known(value: float) -> bool:
    """Return whether TWS has said a number."""
    return not math.isnan(value)
