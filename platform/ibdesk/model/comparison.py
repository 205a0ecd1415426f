"""Differences between the books and the account."""

from __future__ import annotations

import enum

import msgspec


class DifferenceKind(enum.Enum):
    """The kind of a difference between books and account."""

    POSITION = "position"
    """The account holds another quantity than executions explain; further answers are awaited."""
    COVER = "cover"
    """Books hold a quantity that the account does not, because it was closed elsewhere; a person decides."""
    ORDER = "order"
    """An order is open here and was not found at the venue."""
    EXECUTIONS = "executions"
    """The venue reports an order as filled, and some of its executions are missing."""
    CASH = "cash"
    """The account has other cash than executions and commissions explain."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between books and account, and since when (ns UTC).

    `subject` is an instrument, an order's id or a currency; `books` and `account` are quantities, or money.
    """

    kind: DifferenceKind
    subject: str
    books: float
    account: float
    since_ns: int

    @property
    def text(self) -> str:
        """Return the difference as a sentence."""
        match self.kind:
            case DifferenceKind.POSITION:
                return f"{self.subject}: the account holds {self.account:g}, the books say {self.books:g}"
            case DifferenceKind.COVER:
                return f"{self.subject}: the books hold {self.books:g}, of which the account covers {self.account:g}"
            case DifferenceKind.ORDER:
                return f"order {self.subject} is open in the books but was not found at the venue"
            case DifferenceKind.EXECUTIONS:
                return f"order {self.subject} is filled at the venue, but the known executions add up to {self.books:g}"
            case DifferenceKind.CASH:
                return f"{self.subject}: the account has {self.account:.2f}, the books explain {self.books:.2f}"


class BooksCompared(msgspec.Struct, frozen=True, tag="books_compared"):
    """The comparison of books and account has a new result; `differences` holds all that differs now."""

    differences: list[Difference]
    at_ns: int


class CashCounted(msgspec.Struct, frozen=True, tag="cash_counted"):
    """The account's cash in each currency, and the part that neither executions nor commissions explain.

    The first report is the starting point: nothing in it is unexplained.
    """

    amounts: dict[str, float]
    unexplained: dict[str, float]
    at_ns: int
