"""A statement of the broker compared with the journals: executions by id, commissions and cash to the cent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from ibdesk.errors import IbdeskError
from ibdesk.statement.cash import COMMISSION, CashComparison, CashFigures, CashKind
from ibdesk.statement.discrepancy import Discrepancy, StatementDifference
from ibdesk.statement.flex import NEW_YORK, Statement, StatementExecution
from ibdesk.statement.journaled_account import JournaledAccount, JournaledExecution
from ibdesk.statement.periods import JournaledPeriod, period_of, trade_date_of

_SECOND = 1_000_000_000
# The largest difference that counts as equal.
_QUANTITY, _PRICE = Decimal("1e-9"), Decimal("1e-6")


class StatementReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing a statement with the journals.

    `agreed` executions are equal on both sides; `outside` executions are in the journals and not of the period.
    """

    account: str
    begins: dt.datetime | None
    ends: dt.datetime | None
    journals: list[str]
    executions_here: int
    executions_there: int
    agreed: int
    outside: int
    cash: list[CashFigures]
    cash_kinds: list[CashKind]
    differences: list[StatementDifference]
    notes: list[str]


class StatementDiffersError(IbdeskError):
    """A statement and the journals of its account differ."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count

    def __str__(self) -> str:
        things = "1 thing" if self.count == 1 else f"{self.count:,} things"
        return f"the statement and the journals differ in {things}: settle each with IB or in the books"


def join(statement: Statement, record: JournaledAccount, *, tolerance_seconds: float = 60.0) -> StatementReport:
    """Compare a statement with the journals of its account.

    Times may differ by `tolerance_seconds`: TWS reports live executions late, and in whole seconds.
    """
    period = period_of(statement, record.executions, tolerance_seconds=tolerance_seconds)
    there = statement.executions if statement.has_trades else {}
    here = _with_currencies(period.inside, there) if statement.has_trades else {}
    differences: dict[str, list[StatementDifference]] = {}
    agreed = 0
    for base in sorted(there.keys() | here.keys()):
        differences[base] = list(_compared(here.get(base), there.get(base), tolerance_seconds))
        agreed += not differences[base] and bool(base in there and there[base].quantity)
    money = CashComparison(statement, record, period, here, there)
    return StatementReport(
        account=statement.account,
        begins=statement.begins,
        ends=statement.ends,
        journals=record.journals,
        executions_here=sum(1 for each in here.values() if each.quantity),
        executions_there=sum(1 for each in there.values() if each.quantity),
        agreed=agreed,
        outside=period.outside,
        cash=money.figures,
        cash_kinds=money.kinds,
        differences=[each for found in differences.values() for each in found] + list(money.differences(differences)),
        notes=[*_notes(statement, record, period), *money.notes()],
    )


def _with_currencies(
    here: dict[str, JournaledExecution], there: dict[str, StatementExecution]
) -> dict[str, JournaledExecution]:
    """Return the executions; a commission without a currency in the journals gets that of the statement."""
    return {
        base: msgspec.structs.replace(each, commission_currency=there[base].commission_currency)
        if each.commission is not None and not each.commission_currency and base in there
        else each
        for base, each in here.items()
    }


# ---- executions ---------------------------------------------------------------------------------------------------


def _compared(
    here: JournaledExecution | None, there: StatementExecution | None, tolerance_seconds: float
) -> Iterator[StatementDifference]:
    """Yield the differences of one execution; a cancelled execution counts as absent."""
    if here is None or there is None or not (here.quantity and there.quantity):
        if there is not None and there.quantity:
            subject = f"execution {there.id}"
            yield StatementDifference(
                kind=Discrepancy.MISSING_HERE, subject=subject, what="", here="", there=_words_there(there)
            )
        elif here is not None and here.quantity:
            subject = f"execution {here.id}"
            yield StatementDifference(
                kind=Discrepancy.MISSING_THERE, subject=subject, what="", here=_words_here(here), there=""
            )
        return
    for what, ours, theirs, is_equal in _facts(here, there, tolerance_seconds):
        if not is_equal:
            subject = f"execution {there.id} ({here.instrument})"
            yield StatementDifference(kind=Discrepancy.DIFFERENT, subject=subject, what=what, here=ours, there=theirs)


def _facts(
    here: JournaledExecution, there: StatementExecution, tolerance_seconds: float
) -> Iterator[tuple[str, str, str, bool]]:
    yield "instrument", here.instrument, there.symbol, _is_named(here.instrument, there)
    yield "side", _side(here.quantity), _side(there.quantity), here.quantity * there.quantity > 0
    ours, theirs = abs(here.quantity), abs(there.quantity)
    yield "quantity", _plain(ours), _plain(theirs), abs(ours - theirs) <= _QUANTITY
    yield "price", _plain(here.price), _plain(there.price), abs(here.price - there.price) <= _PRICE
    yield "multiplier", _plain(here.multiplier), _plain(there.multiplier), here.multiplier == there.multiplier
    moved = "/".join(sorted(there.cash))
    known = "/".join(sorted(here.cash))
    yield "currency", known, moved, not known or known == moved
    if there.at is not None:
        yield "time", *_times(here, there, tolerance_seconds)
    if there.commission is not None:
        charged = "not known" if here.commission is None else f"{_plain(here.commission)} {here.commission_currency}"
        is_equal = (
            here.commission is not None
            and abs(here.commission - there.commission) < COMMISSION
            and here.commission_currency == there.commission_currency
        )
        yield "commission", charged, f"{_plain(there.commission)} {there.commission_currency}", is_equal


def _times(here: JournaledExecution, there: StatementExecution, tolerance_seconds: float) -> tuple[str, str, bool]:
    assert there.at is not None  # noqa: S101 - checked by the caller
    time = dt.datetime.fromtimestamp(here.at_ns // _SECOND, there.at.time.tzinfo)
    if there.at.is_day:
        # A statement without times has only the trade date.
        day = time.date() if there.trade_date is None else trade_date_of(here)
        return f"{day:%Y-%m-%d}", f"{there.at.time:%Y-%m-%d}", day == there.at.time.date()
    apart = abs(here.at_ns - there.at.ns) / _SECOND
    return f"{time:%Y-%m-%d %H:%M:%S}", f"{there.at.time:%Y-%m-%d %H:%M:%S}", apart <= tolerance_seconds


def _is_named(instrument: str, there: StatementExecution) -> bool:
    """Return whether an instrument is the statement's symbol; IB names only stocks and currencies as we do."""
    if there.category not in ("STK", "CASH") or "~" in instrument:
        return True
    return instrument.partition("@")[0].replace(".", " ") == there.symbol.replace(".", " ")


def _side(quantity: Decimal) -> str:
    return "buy" if quantity > 0 else "sell"


def _words_here(each: JournaledExecution) -> str:
    return f"{_side(each.quantity)} {_plain(abs(each.quantity))} {each.instrument} at {_plain(each.price)}"


def _words_there(each: StatementExecution) -> str:
    return f"{_side(each.quantity)} {_plain(abs(each.quantity))} {each.symbol} at {_plain(each.price)}"


def _plain(number: Decimal) -> str:
    """Return a figure without an exponent or needless zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


# ---- what could not be compared -----------------------------------------------------------------------------------


def _notes(statement: Statement, record: JournaledAccount, period: JournaledPeriod) -> Iterator[str]:
    yield from (f"not read: {text}" for text in record.unread)
    for each in (*period.of_before, *period.of_after) if statement.has_trades else ():
        if not each.quantity:
            continue
        time = dt.datetime.fromtimestamp(each.at_ns // _SECOND, NEW_YORK)
        yield (
            f"execution {each.id} ({_words_here(each)}) of {time:%Y-%m-%d %H:%M:%S %Z} is near an edge of the period, "
            "and this statement does not have it: the statement of the adjacent trade date must have it"
        )
    if not statement.has_trades:
        yield "the statement has no section Trades: executions and commissions were not compared"
    elif statement.begins is None:
        yield "the file does not state its period: executions were compared on the days of its own executions"
    if not statement.has_cash_lines:
        yield "the statement has no section Cash Transactions: dividends, interest and fees were not compared"
    if not statement.cash_reports:
        yield "the statement has no section Cash Report: cash at the end was not compared"
    if record.counted_ns is None:
        yield "no journal has counted the account's cash: dividends, interest, fees and cash were not compared"
    charges = [each for each in statement.executions.values() if each.commission is None]
    if charges:
        yield f"the statement has no commission for {len(charges):,} executions"
