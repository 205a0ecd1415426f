"""The account's own reports against the books: cash by currency, and the differences of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ibdesk.engine.portfolio import EXTERNAL
from ibdesk.model import BooksCompared, CashCounted, Commission, Difference, Fill, Severity

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow


class AccountCash:
    """The cash that the account should have in each currency; `external` is the part that nothing explains.

    Nothing is expected before the first count. Futures are settled daily, which shows as external cash.
    """

    def __init__(self) -> None:
        self.expected: dict[str, float] = {}
        self.external: dict[str, float] = {}

    def book(self, fill: Fill) -> None:
        """Add the cash that an execution moves; one of a currency pair moves two currencies."""
        base, _, quote = fill.currency.rpartition(".")
        if base:
            self._move(base, fill.signed_quantity)
        self._move(quote, fill.cash)

    def charge(self, currency: str, amount: float) -> None:
        """Subtract a commission."""
        self._move(currency, -amount)

    def count(self, counted: CashCounted) -> None:
        """Continue from the account's cash."""
        self.expected.update(counted.amounts)
        for currency, amount in counted.unexplained.items():
            self.external[currency] = self.external.get(currency, 0.0) + amount

    def restore(self, expected: Mapping[str, float]) -> None:
        """Continue from the cash that an earlier desk expected."""
        self.expected = dict(expected)

    def _move(self, currency: str, amount: float) -> None:
        if currency and self.expected:
            self.expected[currency] = self.expected.get(currency, 0.0) + amount


class AccountCheck:
    """Keeps the expected cash by executions and commissions, and reports the differences of comparisons."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow
        self.cash = AccountCash()
        # The differences of the last comparison of books and account.
        self.differences: list[Difference] = []

    def on_fill(self, fill: Fill) -> None:
        """Book an execution, and count its cash once."""
        if not self._flow.portfolio.owner_of(fill.execution_id):
            self.cash.book(fill)
        self._flow.on_fill(fill)

    def on_commission(self, commission: Commission) -> None:
        """Book a commission and count its cash; for a corrected one, count the change."""
        portfolio = self._flow.portfolio
        before = portfolio.charged(commission.execution_id)
        if portfolio.charge(commission.execution_id, commission.amount, commission.currency):
            self.cash.charge(commission.currency, commission.amount - before)
            self._flow.losses.booked(portfolio.owner_of(commission.execution_id))

    def on_books_compared(self, compared: BooksCompared) -> None:
        """Report new differences to a person, and the end of all differences."""
        known = {_fact(each) for each in self.differences}
        for each in compared.differences:
            if _fact(each) not in known:
                self._flow.alert("books", each.text, Severity.WARNING)
        if self.differences and not compared.differences:
            self._flow.alert("books", "the books and the account are equal again", Severity.INFO)
        self.differences = compared.differences

    def on_cash_counted(self, counted: CashCounted) -> None:
        """Continue from the account's cash, and report the unexplained part to a person."""
        self.cash.count(counted)
        for currency, amount in counted.unexplained.items():
            self._flow.alert(EXTERNAL, _cash_words(currency, amount), Severity.WARNING)


def _fact(difference: Difference) -> tuple[object, ...]:
    return difference.kind, difference.subject, difference.books, difference.account


def _cash_words(currency: str, amount: float) -> str:
    verb = "came into" if amount > 0 else "left"
    return (
        f"{abs(amount):.2f} {currency} {verb} the account, and no execution or commission explains it: a deposit, a "
        f"withdrawal, a dividend, interest, a fee or the settlement of a future; it is counted under `{EXTERNAL}`"
    )
