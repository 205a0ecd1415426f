"""The past times at which an exchange was open, for a gateway that keeps its hours."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.contracts.hours import Hours
from ibdesk.gateway.market.source import Integers

Flags = npt.NDArray[np.bool_]


class TradingTime:
    """Selects times within trading hours; if the market keeps no hours, all times are."""

    def __init__(self, *, keeps_hours: bool) -> None:
        self.keeps_hours = keeps_hours

    def within(self, contract: ContractData, times: Integers, *, outside_rth: bool) -> Flags:
        """Return for each time (ns UTC, ascending) whether it is in a session; `outside_rth` means the extended one."""
        if not self.keeps_hours or not len(times):
            return np.ones(len(times), bool)
        opens, closes, _ = sessions_between(contract.hours, int(times[0]), int(times[-1]), outside_rth=outside_rth)
        if not len(opens):
            return np.zeros(len(times), bool)
        place = np.searchsorted(opens, times, side="right") - 1
        return (place >= 0) & (times < closes[place])

    def trading_days(self, contract: ContractData, times: Integers, *, outside_rth: bool) -> Integers:
        """Return the trading day (midnight UTC) of each time in a session; a session may begin the day before."""
        if not self.keeps_hours or not len(times):
            return times // DAY_NS * DAY_NS
        opens, _, days = sessions_between(contract.hours, int(times[0]), int(times[-1]), outside_rth=outside_rth)
        if not len(opens):
            return times // DAY_NS * DAY_NS
        return days[np.maximum(np.searchsorted(opens, times, side="right") - 1, 0)]


DAY_NS = 86_400_000_000_000
_EPOCH = dt.date(1970, 1, 1)


def sessions_between(
    hours: Hours, start_ns: int, end_ns: int, *, outside_rth: bool
) -> tuple[Integers, Integers, Integers]:
    """Return opens, closes and trading days (midnight UTC) of the sessions that touch a span; all ns UTC."""
    first, last = hours.day_of(start_ns), hours.day_of(end_ns)
    rows = []
    for ahead in range((last - first).days + 2):
        day = first + dt.timedelta(days=ahead)
        session = hours.session(day, outside_rth=outside_rth)
        if session is not None:
            rows.append((session.opens_ns, session.closes_ns, (day - _EPOCH).days * DAY_NS))
    table = np.array(rows, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
