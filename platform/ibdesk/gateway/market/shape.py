"""The volume over a trading day: high at open and close, low at noon, very low outside the regular session."""

from __future__ import annotations

import datetime as dt

import numpy as np

from ibdesk.gateway.contracts.hours import Hours
from ibdesk.gateway.market.source import Floats, Integers
from ibdesk.gateway.market.trading_time import sessions_between

# Half of the mean at noon, twice the mean at open and close; the parabola's mean over the session is 1.
NOON, ENDS = 0.5, 2.0
OUTSIDE = 0.05
"""The volume before and after the regular session, as a fraction of its mean."""


def volume_shape(hours: Hours, times: Integers) -> Floats:
    """Return the volume at each time (ns UTC, ascending) relative to the mean of the regular session."""
    factors = np.full(len(times), OUTSIDE)
    if not len(times):
        return factors
    opens, closes, _ = sessions_between(hours, int(times[0]), int(times[-1]), outside_rth=False)
    if not len(opens):
        return factors
    place = np.maximum(np.searchsorted(opens, times, side="right") - 1, 0)
    part = (times - opens[place]) / (closes[place] - opens[place])
    inside = (part >= 0) & (part < 1)
    factors[inside] = NOON + (ENDS - NOON) * (2 * part[inside] - 1) ** 2
    return factors


def trading_days(hours: Hours, days: Integers) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return for each day (midnight UTC, ns) whether the exchange has a session on it."""
    epoch = dt.date(1970, 1, 1)
    dates = (epoch + dt.timedelta(days=day // 86_400_000_000_000) for day in days.tolist())
    return np.array([hours.session(date) is not None for date in dates], bool)
