"""The cash of a statement and of the journals, by currency."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec

from ibdesk.statement.discrepancy import Discrepancy, StatementDifference
from ibdesk.statement.flex import CashReport, Statement, StatementExecution, cash_moved
from ibdesk.statement.journaled_account import JournaledAccount, JournaledExecution
from ibdesk.statement.periods import JournaledPeriod

_ZERO = Decimal(0)
_SECOND = 1_000_000_000
# The largest difference that counts as equal. A commission has more than two decimals; TWS sends cash with two, so
# that its cents and those of the executions since then may round apart by less than a whole cent.
COMMISSION, CENT = Decimal("0.005"), Decimal("0.01")
# The facts of an execution that explain a difference in its cash or commission; an empty fact is the whole execution.
_MOVES = frozenset({"", "side", "quantity", "price", "multiplier", "currency"})
_CHARGES = frozenset({"", "commission"})


class CashFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The cash of one currency: moved by executions, commissions (negative), other movements, and at the end.

    `here` is the journals and `there` is the statement; a figure is None if that side does not have it.
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
    """The cash in one currency under one heading of the statement, such as dividends."""

    kind: str
    currency: str
    amount: Decimal
    count: int


class CashComparison:
    """The cash of each currency on both sides, and the differences."""

    def __init__(
        self,
        statement: Statement,
        record: JournaledAccount,
        period: JournaledPeriod,
        here: Mapping[str, JournaledExecution],
        there: Mapping[str, StatementExecution],
    ) -> None:
        self._statement, self._record, self._period = statement, record, period
        self._here, self._there = here, there
        # _since_ns: the time from which the journals know cash movements without a trade.
        self._since_ns = None if record.counted_ns is None else max(record.counted_ns, period.begins_ns)
        self._is_counted_within = record.counted_ns is not None and record.counted_ns > period.begins_ns
        self.figures = list(self._figures())
        self.kinds = list(_cash_kinds(statement))

    def _figures(self) -> Iterator[CashFigures]:
        here, there, reports = self._here, self._there, self._statement.cash_reports
        trades_here = _summed(_cash_of(each, there.get(base)) for base, each in here.items())
        trades_there = _summed(each.cash for each in there.values())
        # A commission that the statement leaves out is not compared.
        told = {base: each for base, each in here.items() if base not in there or there[base].commission is not None}
        charges_here, charges_there = _charged(told.values()), _charged(there.values())
        other_here, other_there = self._other_here(), self._other_there()
        ending_here = self._ending_here()
        currencies = trades_here.keys() | trades_there.keys() | charges_here.keys() | charges_there.keys()
        currencies |= reports.keys() | (other_there or {}).keys() | (other_here or {}).keys()
        for currency in sorted(currencies):
            report = reports.get(currency)
            is_split = self._is_split(report)
            yield CashFigures(
                currency=currency,
                trades_here=trades_here.get(currency, _ZERO),
                trades_there=trades_there.get(currency, _ZERO),
                commissions_here=charges_here.get(currency, _ZERO),
                commissions_there=charges_there.get(currency, _ZERO),
                other_here=None if other_here is None or is_split else other_here.get(currency, _ZERO),
                other_there=None if other_there is None or is_split else other_there.get(currency, _ZERO),
                ending_here=None if ending_here is None or report is None else ending_here.get(currency, _ZERO),
                ending_there=None if report is None else report.ending,
            )

    def _is_split(self, report: CashReport | None) -> bool:
        """Return whether the journals began to count within a period with a settlement, which has no time."""
        return self._is_counted_within and report is not None and bool(report.settled)

    def _other_here(self) -> dict[str, Decimal] | None:
        """Return the cash counted without a trade in the period, None if the statement has no such section."""
        if self._since_ns is None or not self._statement.has_cash_lines:
            return None
        since_ns = self._since_ns
        return _summed({each.currency: each.amount} for each in self._record.external if each.at_ns >= since_ns)

    def _other_there(self) -> dict[str, Decimal] | None:
        """Return the cash moved without a trade since the journals count cash, None if that is unknown.

        The settlement of futures and taxes on trades are included: the desk cannot tell them apart from these.
        """
        counted_ns = self._record.counted_ns
        if counted_ns is None or not self._statement.has_cash_lines:
            return None
        moves = [
            {line.currency: line.amount}
            for line in self._statement.cash_lines
            # Times in statements have whole seconds, or only the day.
            if line.at is None or line.at.ns + (86_400 if line.at.is_day else 1) * _SECOND > counted_ns
        ]
        moves += [{each.currency: each.settled} for each in self._statement.cash_reports.values() if each.settled]
        for base, each in self._there.items():
            known = self._here.get(base)
            at_ns = known.at_ns if known is not None else counted_ns if each.at is None else each.at.ns
            if each.taxes and at_ns >= counted_ns:
                moves.append({each.currency: each.taxes})
        return _summed(moves)

    def _ending_here(self) -> dict[str, Decimal] | None:
        """Return the cash that the journals explain at the end, by the trade dates of the statement."""
        if self._record.cash is None:
            return None
        counted_ns = self._record.counted_ns or 0
        moved = [self._record.cash]
        for each in self._period.late:
            moved += [each.cash, _charged([each])]
        for each in self._period.of_after:
            if each.at_ns >= counted_ns:
                moved += [_negative(each.cash), _negative(_charged([each]))]
        return _summed(moved)

    def differences(self, executions: Mapping[str, list[StatementDifference]]) -> Iterator[StatementDifference]:
        """Yield the differences; sums over executions only if no differing execution explains them."""
        moved, charged = self._explained(executions)
        for figures in self.figures:
            compared = [
                ("cash without a trade", figures.other_here, figures.other_there, CENT),
                ("cash at the end", figures.ending_here, figures.ending_there, CENT),
            ]
            if figures.currency not in charged:
                compared.insert(0, ("commissions", figures.commissions_here, figures.commissions_there, COMMISSION))
            if figures.currency not in moved:
                compared.insert(0, ("cash moved by trades", figures.trades_here, figures.trades_there, COMMISSION))
            for what, here, there, tolerance in compared:
                if here is not None and there is not None and abs(here - there) >= tolerance:
                    yield StatementDifference(
                        kind=Discrepancy.DIFFERENT,
                        subject=figures.currency,
                        what=what,
                        here=f"{here:,.2f}",
                        there=f"{there:,.2f}",
                    )

    def _explained(self, executions: Mapping[str, list[StatementDifference]]) -> tuple[set[str], set[str]]:
        """Return the currencies whose traded cash, and whose commissions, a differing execution explains."""
        moved: set[str] = set()
        charged: set[str] = set()
        for base, found in executions.items():
            facts = {each.what for each in found}
            here, there = self._here.get(base), self._there.get(base)
            if facts & _MOVES:
                moved |= (here.cash.keys() if here else set()) | (there.cash.keys() if there else set())
            if facts & _CHARGES:
                charged |= {each.commission_currency for each in (here, there) if each is not None}
        return moved, charged

    def notes(self) -> Iterator[str]:
        """Yield what could not be compared, and what does not add up in the statement itself."""
        for currency, report in sorted(self._statement.cash_reports.items()):
            if self._is_split(report):
                yield (
                    f"{currency}: the journals began to count within this period, and a settlement of futures has no "
                    "time: cash without a trade was not compared"
                )
        if not (self._statement.has_trades and self._statement.has_cash_lines):
            return
        moves = [*(each.cash for each in self._there.values()), _charged(self._there.values())]
        moves += [{each.currency: each.taxes} for each in self._there.values()]
        moves += [{line.currency: line.amount} for line in self._statement.cash_lines]
        moved = _summed(moves)
        for currency, report in sorted(self._statement.cash_reports.items()):
            if report.starting is None:
                continue
            unread = report.ending - report.starting - moved.get(currency, _ZERO) - report.settled
            if abs(unread) >= CENT:
                yield (
                    f"{currency}: the statement begins with {report.starting:,.2f} and ends with {report.ending:,.2f}; "
                    f"its rows do not explain {unread:,.2f} of that: include all rows in the query"
                )


def _negative(moved: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {currency: -amount for currency, amount in moved.items()}


def _cash_of(here: JournaledExecution, there: StatementExecution | None) -> dict[str, Decimal]:
    """Return the cash of an execution by the journals, with the statement's currency if they do not have one."""
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


def _cash_kinds(statement: Statement) -> Iterator[CashKind]:
    total: dict[tuple[str, str], list[Decimal]] = {}
    for line in statement.cash_lines:
        total.setdefault((line.kind, line.currency), []).append(line.amount)
    for (kind, currency), amounts in sorted(total.items()):
        yield CashKind(kind=kind, currency=currency, amount=sum(amounts, _ZERO), count=len(amounts))
