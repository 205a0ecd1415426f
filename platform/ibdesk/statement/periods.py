"""The executions of the journals that a statement should have.

The days of a statement are trade dates: an execution of the evening session belongs to the next one.
https://www.ibkrguides.com/reportingreference/reportguide/tradesfq.htm
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import msgspec

from ibdesk.statement.flex import NEW_YORK, Statement
from ibdesk.statement.journaled_account import JournaledExecution

_SECOND = 1_000_000_000
# The hour in New York from which an execution has the next trade date: for futures and currencies, whose session
# begins at 17:00 or 18:00, and for stocks overnight.
_EVENING, _OVERNIGHT = 17, 20
# The hour from which that holds for all futures and currencies.
_SURE_EVENING = 18
_SATURDAY = 5


class JournaledPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """The executions of the journals, classified by the period of a statement.

    `inside` are the executions that the statement has or should have, including those of the evening before, whose
    session belongs to the first day. `of_before` and `of_after` are near the beginning and the end of the period and
    not in the statement: the adjacent statement may have them. `late` are in the statement although their time here is
    after the period. `outside` is the number of all that are not inside. `begins_ns` is the beginning of the period.
    """

    inside: dict[str, JournaledExecution]
    of_before: list[JournaledExecution]
    of_after: list[JournaledExecution]
    late: list[JournaledExecution]
    outside: int
    begins_ns: int


def period_of(
    statement: Statement, executions: Mapping[str, JournaledExecution], *, tolerance_seconds: float
) -> JournaledPeriod:
    """Classify the executions of the journals by the period of the statement."""
    begins_ns, ends_ns = _bounds(statement)
    tolerance_ns = round(tolerance_seconds * _SECOND)
    inside: dict[str, JournaledExecution] = {}
    of_before: list[JournaledExecution] = []
    of_after: list[JournaledExecution] = []
    late: list[JournaledExecution] = []
    first, last = _days(statement)
    for base, each in executions.items():
        if base in statement.executions:
            inside[base] = each
            if each.at_ns >= ends_ns:
                late.append(each)
        elif each.at_ns < begins_ns:
            if first is not None and trade_date_of(each) >= first:
                if _is_surely_of_next(each, tolerance_ns):
                    inside[base] = each
                else:
                    of_before.append(each)
        elif each.at_ns < ends_ns:
            # The time here is the arrival: it is surely before the end there too, but perhaps not after the begin.
            if last is not None and trade_date_of(each) > last:
                of_after.append(each)
            elif each.at_ns - begins_ns <= tolerance_ns:
                of_before.append(each)
            else:
                inside[base] = each
    return JournaledPeriod(
        inside=inside,
        of_before=of_before,
        of_after=of_after,
        late=late,
        outside=len(executions) - len(inside),
        begins_ns=begins_ns,
    )


def trade_date_of(each: JournaledExecution) -> dt.date:
    """Return the trade date that IB gives an execution, by its time here."""
    time = dt.datetime.fromtimestamp(each.at_ns // _SECOND, NEW_YORK)
    is_of_next = time.hour >= (_OVERNIGHT if _is_share(each) else _EVENING)
    day = time.date() + dt.timedelta(days=int(is_of_next))
    # A trade date is never on a weekend.
    return day + dt.timedelta(days=7 - day.weekday() if day.weekday() >= _SATURDAY else 0)


def _is_surely_of_next(each: JournaledExecution, tolerance_ns: int) -> bool:
    """Return whether an execution reported so late in a day was surely made in the session of the next."""
    made = dt.datetime.fromtimestamp((each.at_ns - tolerance_ns) // _SECOND, NEW_YORK)
    return made.hour >= (_OVERNIGHT if _is_share(each) else _SURE_EVENING)


def _is_share(each: JournaledExecution) -> bool:
    return bool(each.currency) and "." not in each.currency


def _days(statement: Statement) -> tuple[dt.date | None, dt.date | None]:
    """Return the first and the last day of the period, None if the file does not state them."""
    begins, ends = statement.begins, statement.ends
    last = None if ends is None else (ends - dt.timedelta(microseconds=1)).date()
    return (None if begins is None else begins.date()), last


def _bounds(statement: Statement) -> tuple[int, int]:
    """Return the period in ns UTC, from the trade dates of the executions if the file does not state it."""
    known = ((each.trade_date, each.at) for each in statement.executions.values())
    days = [date or at.time for date, at in known if at is not None]
    begins, ends = statement.begins, statement.ends
    if begins is None and days:
        begins = min(days).replace(hour=0, minute=0, second=0)
    if ends is None and days:
        ends = max(days).replace(hour=0, minute=0, second=0) + dt.timedelta(days=1)
    return (0 if begins is None else _ns(begins)), (2**63 if ends is None else _ns(ends))


def _ns(time: dt.datetime) -> int:
    return int(time.timestamp()) * _SECOND
