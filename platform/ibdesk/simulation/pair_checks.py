"""Pairs of orders that protect one position and both fill: the quantity by which they take a book past zero."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ibdesk.simulation.truth import Executed, Truth, owner_of

_DUST = 1e-9


class Protective(msgspec.Struct):
    """An order that only reduced its owner's book when it came; `siblings`: later fills of others like it."""

    reference: str
    owner: str
    symbol: str
    quantity: float
    siblings: float = 0.0


class PairChecks:
    """Tracks orders that protect a position, and the position that two of them for the same one open together.

    No limit stops such an order. One fills, and the other one, which now opens, can fill before a run cancels it: only
    an order group of the venue (OCA) prevents that.
    """

    def __init__(self, truth: Truth, can_withdraw: Callable[[str, int], bool]) -> None:
        """Create a tracker.

        Args:
            truth: The events at the venue.
            can_withdraw: Whether a run has had the time, undisturbed, to cancel an order since then (ns UTC).
        """
        self._truth, self._can_withdraw = truth, can_withdraw
        self._orders: dict[str, Protective] = {}
        # _filled_ns: when one of an owner's protective orders last filled; _excess: their position past zero.
        self._filled_ns: dict[tuple[str, str], int] = {}
        self._excess: dict[tuple[str, str], float] = {}

    def comes(self, reference: str, symbol: str, quantity: float) -> None:
        """Record a new order of a signed quantity."""
        owner = owner_of(reference)
        moved = self._truth.moved_by(owner, symbol)
        if moved * quantity < 0 and abs(quantity) <= abs(moved) + _DUST:
            self._orders[reference] = Protective(reference, owner, symbol, quantity)

    def executed(self, executed: Executed) -> None:
        """Record an execution."""
        owner, symbol = owner_of(executed.order), executed.symbol
        key, moved = (owner, symbol), self._truth.moved_by(owner, symbol)
        order = self._orders.get(executed.order)
        excess = self._excess.pop(key, 0.0)
        if order is not None:
            if not self._can_withdraw(owner, self._filled_ns.get(key, executed.at_ns)):
                excess += _signed(min(abs(executed.quantity), order.siblings), executed.quantity)
            for each in self._orders.values():
                if each is not order and (each.owner, each.symbol) == key and each.quantity * order.quantity > 0:
                    each.siblings += abs(executed.quantity)
            self._filled_ns[key] = executed.at_ns
        if excess * moved > 0:
            self._excess[key] = _signed(min(abs(excess), abs(moved)), moved)

    def excess(self, symbol: str) -> float:
        """Return the position past zero by such orders of all owners."""
        return sum(quantity for (_, of), quantity in self._excess.items() if of == symbol)


def _signed(quantity: float, like: float) -> float:
    return quantity if like > 0 else -quantity
