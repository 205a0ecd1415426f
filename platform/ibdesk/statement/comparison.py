"""A statement of the broker joined with the journals: executions by their ids, commissions and cash to the cent."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from ibdesk.errors import IbdeskError
from ibdesk.statement.flex import Statement, StatementExecution, cash_moved
from ibdesk.statement.journaled_account import JournaledAccount, JournaledExecution

_ZERO = Decimal(0)
_SECOND = 1_000_000_000
# What two figures of one thing may differ by. A commission has more than two decimals; TWS tells cash with two, so
# that its cents and those of the executions since then may round apart by less than a whole one.
_QUANTITY, _PRICE, _COMMISSION, _CASH = (Decimal(text) for text in ("1e-9", "1e-6", "0.005", "0.01"))


class Discrepancy(enum.Enum):
    """How statement and journals differ in one thing."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    DIFFERENT = "different"


class StatementDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in which they differ; `here` are the journals, `there` is the statement, empty where it is missing.

    `subject` is the id of an execution, or a currency; `what` is the figure.
    """

    kind: Discrepancy
    subject: str
    what: str
    here: str
    there: str

    @property
    def text(self) -> str:
        """Return the sentence that says what differs."""
        match self.kind:
            case Discrepancy.MISSING_HERE:
                return f"{self.subject} is not in the journals; the statement has {self.there}"
            case Discrepancy.MISSING_THERE:
                return f"{self.subject} is not in the statement; the journals have {self.here}"
            case Discrepancy.DIFFERENT:
                return f"{self.subject}: {self.what} is {self.here} in the journals and {self.there} in the statement"


class CashFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The money of one currency: what executions moved, commissions (negative), all else, and the end.

    `here` are the journals and `there` is the statement; a figure is None where that side does not have it.
    """

    currency: str
    trades_here: Decimal
    trades_there: Decimal
    commissions_here: Decimal
    commissions_there: Decimal
    other_here: Decimal | None
    other_there: Decimal | None
    ending_here: Decimal | None
    ending_there: Decimal | None


class CashKind(msgspec.Struct, frozen=True, kw_only=True):
    """What came or went of one currency under one heading of the statement, such as dividends."""

    kind: str
    currency: str
    amount: Decimal
    count: int


class StatementReport(msgspec.Struct, frozen=True, kw_only=True):
    """What joining a statement with the journals has found.

    `agreed` executions are equal on both sides; `outside` are those of the journals that are not of its period.
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

    Times may differ by `tolerance_seconds`: TWS tells those of live executions late, and in whole seconds.
    """
    here, outside = _of_period(statement, record.executions)
    there = statement.executions if statement.has_trades else {}
    if not statement.has_trades:
        here = {}
    differences: list[StatementDifference] = []
    agreed = 0
    for base in sorted(there.keys() | here.keys()):
        found = list(_compared(here.get(base), there.get(base), tolerance_seconds))
        differences += found
        agreed += not found and bool(base in there and there[base].quantity)
    kinds = list(_cash_kinds(statement))
    cash = list(_cash(statement, record, here, there))
    is_explained = bool(differences)
    for figures in cash:
        differences += _cash_differences(figures, is_explained=is_explained)
    return StatementReport(
        account=statement.account,
        begins=statement.begins,
        ends=statement.ends,
        journals=record.journals,
        executions_here=sum(1 for each in here.values() if each.quantity),
        executions_there=sum(1 for each in there.values() if each.quantity),
        agreed=agreed,
        outside=outside,
        cash=cash,
        cash_kinds=kinds,
        differences=differences,
        notes=list(_notes(statement, record)),
    )


# ---- executions ---------------------------------------------------------------------------------------------------


def _of_period(
    statement: Statement, executions: Mapping[str, JournaledExecution]
) -> tuple[dict[str, JournaledExecution], int]:
    """Return the executions of the journals that the statement has or should have, and the number of others."""
    begins_ns, ends_ns = _bounds(statement)
    found = {
        base: each
        for base, each in executions.items()
        if base in statement.executions or begins_ns <= each.at_ns < ends_ns
    }
    return found, len(executions) - len(found)


def _bounds(statement: Statement) -> tuple[int, int]:
    """Return the period in ns UTC; where the file does not tell it, the days of its executions."""
    times = [each.at for each in statement.executions.values() if each.at is not None]
    begins, ends = statement.begins, statement.ends
    if begins is None and times:
        begins = min(each.time for each in times).replace(hour=0, minute=0, second=0)
    if ends is None and times:
        ends = max(each.time for each in times).replace(hour=0, minute=0, second=0) + dt.timedelta(days=1)
    return (0 if begins is None else _ns(begins)), (2**63 if ends is None else _ns(ends))


def _ns(time: dt.datetime) -> int:
    return int(time.timestamp()) * _SECOND


def _compared(
    here: JournaledExecution | None, there: StatementExecution | None, tolerance_seconds: float
) -> Iterator[StatementDifference]:
    """Yield what differs in one execution; one that was cancelled counts as none."""
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
        yield "time", *_times(here.at_ns, there, tolerance_seconds)
    if there.commission is not None:
        charged = "not known" if here.commission is None else f"{_plain(here.commission)} {here.commission_currency}"
        is_equal = (
            here.commission is not None
            and abs(here.commission - there.commission) < _COMMISSION
            and (here.commission_currency or there.commission_currency) == there.commission_currency
        )
        yield "commission", charged, f"{_plain(there.commission)} {there.commission_currency}", is_equal


def _times(at_ns: int, there: StatementExecution, tolerance_seconds: float) -> tuple[str, str, bool]:
    assert there.at is not None  # noqa: S101 - asked before
    time = dt.datetime.fromtimestamp(at_ns // _SECOND, there.at.time.tzinfo)
    if there.at.is_day:
        return f"{time:%Y-%m-%d}", f"{there.at.time:%Y-%m-%d}", time.date() == there.at.time.date()
    apart = abs(at_ns - there.at.ns) / _SECOND
    return f"{time:%Y-%m-%d %H:%M:%S}", f"{there.at.time:%Y-%m-%d %H:%M:%S}", apart <= tolerance_seconds


def _is_named(instrument: str, there: StatementExecution) -> bool:
    """Return whether an instrument is the statement's symbol; IB names only shares and currencies as we do."""
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


# ---- cash ---------------------------------------------------------------------------------------------------------


def _cash(
    statement: Statement,
    record: JournaledAccount,
    here: Mapping[str, JournaledExecution],
    there: Mapping[str, StatementExecution],
) -> Iterator[CashFigures]:
    trades_here = _summed(_cash_of(each, there.get(base)) for base, each in here.items())
    trades_there = _summed(each.cash for each in there.values())
    # What the statement does not tell is not compared.
    told = {base: each for base, each in here.items() if base not in there or there[base].commission is not None}
    charges_here, charges_there = _charged(told.values()), _charged(there.values())
    other_there = _other(statement, record, there)
    other_here = record.external if other_there is not None else None
    currencies = trades_here.keys() | trades_there.keys() | charges_here.keys() | charges_there.keys()
    currencies |= statement.cash_reports.keys() | (other_there or {}).keys() | (other_here or {}).keys()
    for currency in sorted(currencies):
        report = statement.cash_reports.get(currency)
        ending_here = None if record.cash is None or report is None else record.cash.get(currency, _ZERO)
        yield CashFigures(
            currency=currency,
            trades_here=trades_here.get(currency, _ZERO),
            trades_there=trades_there.get(currency, _ZERO),
            commissions_here=charges_here.get(currency, _ZERO),
            commissions_there=charges_there.get(currency, _ZERO),
            other_here=None if other_here is None else other_here.get(currency, _ZERO),
            other_there=None if other_there is None else other_there.get(currency, _ZERO),
            ending_here=ending_here,
            ending_there=None if report is None else report.ending,
        )


def _cash_of(here: JournaledExecution, there: StatementExecution | None) -> dict[str, Decimal]:
    """Return the money of an execution by the journals; where they do not tell the currency, it is the statement's."""
    if here.currency or there is None:
        return here.cash
    return cash_moved(there.category, there.symbol, there.currency, here.quantity, here.price * here.multiplier)


def _summed(moved: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for each in moved:
        for currency, amount in each.items():
            total[currency] = total.get(currency, _ZERO) + amount
    return total


def _charged(executions: Iterable[JournaledExecution | StatementExecution]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for each in executions:
        if each.commission is not None:
            currency = each.commission_currency
            total[currency] = total.get(currency, _ZERO) - each.commission
    return total


def _other(
    statement: Statement, record: JournaledAccount, there: Mapping[str, StatementExecution]
) -> dict[str, Decimal] | None:
    """Return what came or went without a trade since the journals have counted cash, None where nothing tells.

    The desk cannot tell the settlement of futures and taxes on trades from those.
    """
    if record.counted_ns is None or not statement.has_cash_lines:
        return None
    total: dict[str, Decimal] = {}
    for line in statement.cash_lines:
        # Times of statements have whole seconds, or only the day.
        if line.at is None or line.at.ns + (86_400 if line.at.is_day else 1) * _SECOND > record.counted_ns:
            total[line.currency] = total.get(line.currency, _ZERO) + line.amount
    for report in statement.cash_reports.values():
        if report.settled:
            total[report.currency] = total.get(report.currency, _ZERO) + report.settled
    for each in there.values():
        if each.taxes:
            total[each.currency] = total.get(each.currency, _ZERO) + each.taxes
    return total


def _cash_kinds(statement: Statement) -> Iterator[CashKind]:
    total: dict[tuple[str, str], list[Decimal]] = {}
    for line in statement.cash_lines:
        total.setdefault((line.kind, line.currency), []).append(line.amount)
    for (kind, currency), amounts in sorted(total.items()):
        yield CashKind(kind=kind, currency=currency, amount=sum(amounts, _ZERO), count=len(amounts))


def _cash_differences(figures: CashFigures, *, is_explained: bool) -> Iterator[StatementDifference]:
    """Yield what differs; the sums over executions only where no execution differs that would explain it."""
    sums = (
        ("cash moved by trades", figures.trades_here, figures.trades_there, _COMMISSION),
        ("commissions", figures.commissions_here, figures.commissions_there, _COMMISSION),
    )
    others = (
        ("cash without a trade", figures.other_here, figures.other_there, _CASH),
        ("cash at the end", figures.ending_here, figures.ending_there, _CASH),
    )
    for what, here, there, tolerance in others if is_explained else (*sums, *others):
        if here is not None and there is not None and abs(here - there) >= tolerance:
            yield StatementDifference(
                kind=Discrepancy.DIFFERENT,
                subject=figures.currency,
                what=what,
                here=f"{here:,.2f}",
                there=f"{there:,.2f}",
            )


# ---- what could not be compared -----------------------------------------------------------------------------------


def _notes(statement: Statement, record: JournaledAccount) -> Iterator[str]:
    yield from (f"not read: {text}" for text in record.unread)
    if not statement.has_trades:
        yield "the statement has no section Trades: executions and commissions were not compared"
    elif statement.begins is None:
        yield "the file does not tell its period: executions were compared on the days on which it has some"
    if not statement.has_cash_lines:
        yield "the statement has no section Cash Transactions: dividends, interest and fees were not compared"
    if not statement.cash_reports:
        yield "the statement has no section Cash Report: cash at the end was not compared"
    if record.counted_ns is None:
        yield "no journal has counted the account's cash: dividends, interest, fees and cash were not compared"
    charges = [each for each in statement.executions.values() if each.commission is None]
    if charges:
        yield f"the statement does not tell the commission of {len(charges):,} executions"
