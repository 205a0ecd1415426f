"""What comparing the books with the account has found."""

from __future__ import annotations

import enum

import msgspec


class DifferenceKind(enum.Enum):
    """What of the books differs from the account."""

    # POSITION: the account holds another quantity than executions explain, and further answers are awaited.
    POSITION = "position"
    # COVER: books hold what the account does not have, because it was closed elsewhere; a person decides.
    COVER = "cover"
    # ORDER: an order that is open here was found nowhere at the venue.
    ORDER = "order"
    # EXECUTIONS: the venue calls an order filled, and executions of it are missing.
    EXECUTIONS = "executions"
    # CASH: the account has other cash than executions and commissions explain.
    CASH = "cash"


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in which books and account differ, since when (ns UTC).

    `subject` is an instrument, an order's id or a currency; `books` and `account` are quantities, or money.
    """

    kind: DifferenceKind
    subject: str
    books: float
    account: float
    since_ns: int

    @property
    def text(self) -> str:
        """Return the sentence that says what differs."""
        match self.kind:
            case DifferenceKind.POSITION:
                return f"{self.subject}: the account holds {self.account:g}, the books say {self.books:g}"
            case DifferenceKind.COVER:
                return f"{self.subject}: the books hold {self.books:g}, of which the account covers {self.account:g}"
            case DifferenceKind.ORDER:
                return f"order {self.subject} is open in the books, and the venue was not seen to have it"
            case DifferenceKind.EXECUTIONS:
                return f"order {self.subject} is filled at the venue; the executions known add up to {self.books:g}"
            case DifferenceKind.CASH:
                return f"{self.subject}: the account has {self.account:.2f}, the books explain {self.books:.2f}"


class BooksCompared(msgspec.Struct, frozen=True, tag="books_compared"):
    """The comparison of books and account has another result than before: all that differs now."""

    differences: list[Difference]
    at_ns: int


class CashCounted(msgspec.Struct, frozen=True, tag="cash_counted"):
    """What the account has of each currency, and what of that neither executions nor commissions explain.

    The first one is where the count begins: nothing of it is unexplained.
    """

    amounts: dict[str, float]
    unexplained: dict[str, float]
    at_ns: int
