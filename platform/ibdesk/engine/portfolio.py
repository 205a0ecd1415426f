"""The books: one per strategy run, one for orders by hand, one for positions that are not ours."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable

from ibdesk.model import BookSnapshot, Fill, FillSnapshot, Position

EXTERNAL = "external"
"""The owner of positions opened in TWS or by other programs: shown and counted, but never traded."""

MANUAL = "manual"
"""The owner of orders by hand on this desk: a book like a run's, without a strategy."""

PriceOf = Callable[[str], float | None]
"""Returns the last known price of an instrument by its id, or None."""

OnChange = Callable[[str, Position], None]
"""Receives an owner's new position."""

CurrencyOf = Callable[[str], str]
"""Returns the currency of an instrument by its id, or an empty string."""


class Book:
    """Positions, cash and commissions of one owner; `on_change` is called with each new position."""

    def __init__(self, owner: str, cash: float = 0.0, *, on_change: OnChange = lambda _, __: None) -> None:
        self.owner = owner
        self.cash = cash
        self.positions: dict[str, Position] = {}
        self._on_change = on_change

    def position(self, instrument: str) -> Position:
        """Return the position in an instrument, a flat one if there was none."""
        return self.positions.get(instrument) or Position(instrument)

    def put(self, position: Position) -> None:
        """Replace a position; nothing else changes positions."""
        self.positions[position.instrument] = position
        self._on_change(self.owner, position)

    def book(self, fill: Fill) -> None:
        """Book an execution into position and cash."""
        self.put(self.position(fill.instrument).after(fill))
        self.cash += fill.cash

    def charge(self, instrument: str, commission: float, currency: str = "") -> None:
        """Book a commission; `currency` is given only if it differs from the instrument's."""
        self.put(self.position(instrument).charged(commission, currency))
        self.cash -= commission


class Portfolio:
    """All books of an account, and the book of each execution."""

    def __init__(self, on_change: OnChange = lambda _, __: None, currency_of: CurrencyOf = lambda _: "") -> None:
        self.books: dict[str, Book] = {}
        self._on_change, self._currency_of = on_change, currency_of
        # Booked executions with their owner, so that none counts twice and commissions find them.
        self._booked: dict[str, tuple[str, Fill]] = {}
        # The commission and currency of each execution, also if reported before the execution.
        self._charged: dict[str, tuple[float, str]] = {}

    def open_book(self, owner: str, cash: float = 0.0) -> Book:
        """Return the owner's book, opened with `cash` if it is new."""
        book = self.books.get(owner)
        if book is None:
            book = self.books[owner] = Book(owner, cash, on_change=self._on_change)
        return book

    def book(self, fill: Fill, owner: str) -> bool:
        """Book an execution to its owner once; return whether it was new."""
        if fill.execution_id in self._booked:
            return False
        self._booked[fill.execution_id] = owner, fill
        self.open_book(owner).book(fill)
        if fill.execution_id in self._charged:
            self._charge(owner, fill.instrument, *self._charged[fill.execution_id])
        return True

    def charge(self, execution_id: str, commission: float, currency: str) -> bool:
        """Book the commission of an execution once, a corrected one in place of the first; return whether it was new.

        It can be reported before the execution.
        """
        before, paid_in = self._charged.get(execution_id, (0.0, currency))
        if execution_id in self._charged and (before, paid_in or currency) == (commission, currency):
            return False
        self._charged[execution_id] = commission, currency
        if execution_id in self._booked:
            owner, fill = self._booked[execution_id]
            if paid_in in ("", currency):
                self._charge(owner, fill.instrument, commission - before, currency)
            else:
                self._charge(owner, fill.instrument, -before, paid_in)
                self._charge(owner, fill.instrument, commission, currency)
        return True

    def _charge(self, owner: str, instrument: str, commission: float, currency: str) -> None:
        is_own = self._currency_of(instrument) in ("", currency)
        self.open_book(owner).charge(instrument, commission, "" if is_own else currency)

    def charged(self, execution_id: str) -> float:
        """Return the commission of an execution so far."""
        return self._charged.get(execution_id, (0.0, ""))[0]

    def owner_of(self, execution_id: str) -> str:
        """Return the owner to whom an execution was booked, or an empty string."""
        booked = self._booked.get(execution_id)
        return "" if booked is None else booked[0]

    def last_booked(self, count: int) -> list[str]:
        """Return the ids of the last booked executions, newest first."""
        return list(itertools.islice(reversed(self._booked), count))

    def restore(self, books: Iterable[BookSnapshot], fills: Iterable[FillSnapshot]) -> None:
        """Restore the books of a snapshot, which already include these fills and their commissions."""
        for left in books:
            book = self.books[left.owner] = Book(left.owner, left.cash, on_change=self._on_change)
            for position in left.positions:
                book.put(position)
        for known in fills:
            self._booked[known.fill.execution_id] = known.owner, known.fill
            if known.commission is not None:
                self._charged[known.fill.execution_id] = known.commission, known.commission_currency

    def book_snapshots(self) -> list[BookSnapshot]:
        """Return the snapshots of all books."""
        return [BookSnapshot(book.owner, book.cash, list(book.positions.values())) for book in self.books.values()]

    def fill_snapshots(self, since_ns: int) -> list[FillSnapshot]:
        """Return the executions since `since_ns`, in booking order."""
        return [
            FillSnapshot(fill, owner, *self._charged.get(fill.execution_id, (None, "")))
            for owner, fill in self._booked.values()
            if fill.at_ns >= since_ns
        ]

    def held(self, instrument: str) -> float:
        """Return the sum of all books' quantities in an instrument, EXTERNAL's included."""
        return sum(book.position(instrument).quantity for book in self.books.values())

    def instruments(self) -> list[str]:
        """Return the instruments held in any book, in order of first use."""
        held = (p.instrument for book in self.books.values() for p in book.positions.values() if p.quantity)
        return list(dict.fromkeys(held))

    def pnl_without(self, owners: Container[str]) -> float:
        """Return the realized profit of all other owners' books, without EXTERNAL's; they must hold nothing.

        All of it must be in one currency.
        """
        rest = (book for book in self.books.values() if book.owner not in owners and book.owner != EXTERNAL)
        return sum(position.realized_pnl - position.commission for book in rest for position in book.positions.values())
