"""The continuous comparison of the books with the account: its differences, their ages, and their journaling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from ibdesk.model import BooksCompared, CashCounted, Difference, DifferenceKind, Link
from ibdesk.store import Row, Topic

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime

_SECOND = 1_000_000_000
# The account's figures are rounded to cents: two of them may differ by one cent together.
_CENT = 0.0151
# Executions are requested if cash stays unexplained for this long: reports on their way have arrived by then.
_ASK_AFTER_SECONDS = 1.0

DIFFERENCE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "kind": pl.String,
    "subject": pl.String,
    "books": pl.Float64,
    "account": pl.Float64,
    "since": pl.Datetime("ns", "UTC"),
    "text": pl.String,
}


class _CashDoubt(msgspec.Struct):
    """The unexplained amount of a currency, since when (ns UTC), and whether executions were requested."""

    amount: float
    since_ns: int
    is_asked: bool = False


class Reconciliation:
    """Collects the differences, journals them when they change, and publishes them."""

    def __init__(self, runtime: Runtime) -> None:
        self._engine, self._service = runtime.engine, runtime.service
        self._feed, self._turn = runtime.feed, runtime.turn
        self._cash_grace_ns = int(runtime.settings.desk.cash_grace_seconds * _SECOND)
        self._grace_seconds = runtime.settings.tws.position_grace_seconds
        # When each difference was first seen, ns UTC.
        self._since: dict[tuple[DifferenceKind, str], int] = {}
        self._cash: dict[str, _CashDoubt] = {}
        self._shown: Row = {}

    @property
    def differences(self) -> list[Difference]:
        """Return the differences of the last comparison."""
        return self._engine.check.differences

    def look(self, now_ns: int) -> None:
        """Compare, a few times a second; requests to TWS follow the link's own timer."""
        if self._engine.link is Link.UP:
            self._count_cash(now_ns)
            found = list(self._found(now_ns))
            if [_fact(each) for each in found] != [_fact(each) for each in self.differences]:
                self._turn(BooksCompared(found, now_ns))
        self._publish()

    def frame(self) -> pl.DataFrame:
        """Return a row for each difference, the oldest first."""
        rows = [
            (each.kind.value, each.subject, each.books, each.account, each.since_ns, each.text)
            for each in sorted(self.differences, key=lambda each: each.since_ns)
        ]
        return pl.DataFrame(rows, schema=DIFFERENCE_SCHEMA, orient="row")

    def _publish(self) -> None:
        compared = self._service.compared
        row: dict[str, Any] = {
            "compared_ns": compared.at_ns,
            "fault": compared.fault,
            "differences": [_row(each) for each in self.differences],
        }
        if row != self._shown:
            self._shown = row
            self._feed.publish(Topic.RECONCILIATION, "reconciliation", row)

    # --- differences

    def _found(self, now_ns: int) -> Iterator[Difference]:
        present: set[tuple[DifferenceKind, str]] = set()
        for kind, subject, books, account in self._facts():
            present.add((kind, subject))
            since_ns = self._since.setdefault((kind, subject), now_ns)
            yield Difference(kind=kind, subject=subject, books=books, account=account, since_ns=since_ns)
        for gone in self._since.keys() - present:
            del self._since[gone]

    def _facts(self) -> Iterator[tuple[DifferenceKind, str, float, float]]:
        for name, account, books, seconds in self._service.doubts:
            if seconds >= self._grace_seconds:
                yield DifferenceKind.POSITION, name, books, account
        for name, missing in self._engine.orders.outside.uncovered.items():
            ours = self._engine.orders.outside.held_by_us(name, missing)
            yield DifferenceKind.COVER, name, ours, ours - missing
        for order_id in self._service.missing_orders:
            order = self._engine.blotter.orders.get(order_id)
            if order is not None and order.is_open:
                yield DifferenceKind.ORDER, order_id, order.remaining, 0.0
        for order_id in self._service.short_of_executions:
            order = self._engine.blotter.orders.get(order_id)
            if order is not None:
                yield DifferenceKind.EXECUTIONS, order_id, order.filled, order.quantity
        for currency, doubt in self._cash.items():
            amount = self._engine.account.cash_by_currency[currency]
            if doubt.is_asked:
                yield DifferenceKind.CASH, currency, amount - doubt.amount, amount

    # --- cash

    def _count_cash(self, now_ns: int) -> None:
        """Track the unexplained cash of each currency; after `cash_grace_seconds` it is booked as moved elsewhere."""
        amounts, expected = self._engine.account.cash_by_currency, self._engine.check.cash.expected
        if not amounts:
            return
        if not expected:
            self._turn(CashCounted(dict(amounts), {}, now_ns))
            return
        settled: dict[str, float] = {}
        for currency, amount in amounts.items():
            missing = amount - expected.get(currency, 0.0)
            if abs(missing) < _CENT:
                self._cash.pop(currency, None)
                continue
            doubt = self._cash.get(currency)
            if doubt is None or abs(doubt.amount - missing) >= _CENT:
                self._cash[currency] = _CashDoubt(missing, now_ns)
            elif now_ns - doubt.since_ns >= self._cash_grace_ns:
                settled[currency] = round(missing, 2)
            elif not doubt.is_asked and now_ns - doubt.since_ns >= _ASK_AFTER_SECONDS * _SECOND:
                doubt.is_asked = True
                self._service.compare_soon()
        if settled:
            for currency in settled:
                del self._cash[currency]
            self._turn(CashCounted({name: amounts[name] for name in settled}, settled, now_ns))


def _fact(difference: Difference) -> tuple[object, ...]:
    return difference.kind, difference.subject, difference.books, difference.account


def _row(difference: Difference) -> Row:
    return {
        "kind": difference.kind.value,
        "subject": difference.subject,
        "books": difference.books,
        "account": difference.account,
        "since_ns": difference.since_ns,
        "text": difference.text,
    }
