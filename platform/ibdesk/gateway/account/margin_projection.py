"""What the working orders of an account would bring, kept sum by sum, so that one order more costs no walk over all."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from ibdesk.gateway.account.projected_trade import ProjectedTotal, ProjectedTrade
from ibdesk.gateway.contracts.contract import ContractData

Place = tuple[Hashable, int]
"""An order and which of its trades; a combination has several."""


class Side:
    """Purchases or sales of one contract, as the sum of all; of a group only the largest counts, by size, then value.

    Adding and taking away one costs as much however many there are, or as many as there are in its group.
    """

    def __init__(self, contract: ContractData) -> None:
        self.coming = ProjectedTotal(contract)
        self._members = 0
        self._groups: dict[str, dict[Place, ProjectedTrade]] = {}

    def add(self, place: Place, trade: ProjectedTrade) -> None:
        """Count one."""
        self._members += 1
        if trade.group:
            group = self._groups.setdefault(trade.group, {})
            self._count(_largest(group), -1)
            group[place] = trade
            trade = _largest(group) or trade
        self._count(trade, 1)

    def take(self, place: Place, trade: ProjectedTrade) -> None:
        """Count one no more."""
        self._members -= 1
        group = self._groups.get(trade.group)
        if group is None:
            self._count(trade, -1)
        else:
            self._count(_largest(group), -1)
            del group[place]
            self._count(_largest(group), 1)
            if not group:
                del self._groups[trade.group]

    @property
    def is_empty(self) -> bool:
        """Return whether it counts nothing; then it is thrown away, with what binary fractions have left of the sum."""
        return not self._members

    def _count(self, trade: ProjectedTrade | None, sign: int) -> None:
        if trade is None:
            return
        before = self.coming
        self.coming = ProjectedTotal(
            before.contract,
            before.quantity + sign * trade.quantity,
            before.value + sign * trade.quantity * trade.price,
            before.commission + sign * trade.commission,
        )


class MarginProjection:
    """The trades of one account's working orders, by contract and side."""

    def __init__(self) -> None:
        self._projected_trades: dict[Hashable, tuple[ProjectedTrade, ...]] = {}
        self._sides: dict[str, dict[bool, Side]] = {}

    def enter(self, order: Hashable, trades: Iterable[ProjectedTrade]) -> None:
        """Count what an order would bring, in place of what it would have brought before."""
        self.remove(order)
        self._projected_trades[order] = entered = tuple(trades)
        for number, trade in enumerate(entered):
            sides = self._sides.setdefault(trade.contract.id, {})
            buys = trade.quantity > 0
            if buys not in sides:
                sides[buys] = Side(trade.contract)
            sides[buys].add((order, number), trade)

    def remove(self, order: Hashable) -> None:
        """Count an order no more, if it was counted."""
        for number, trade in enumerate(self._projected_trades.pop(order, ())):
            name, buys = trade.contract.id, trade.quantity > 0
            sides = self._sides[name]
            sides[buys].take((order, number), trade)
            if sides[buys].is_empty:
                del sides[buys]
            if not sides:
                del self._sides[name]

    def ways(self) -> Iterator[tuple[ContractData, list[ProjectedTotal]]]:
        """Yield each contract that may trade, with all its purchases together, and all its sales, where there are."""
        for sides in self._sides.values():
            coming = [side.coming for side in sides.values()]
            yield coming[0].contract, coming


def _largest(group: dict[Place, ProjectedTrade]) -> ProjectedTrade | None:
    return max(group.values(), key=_size, default=None)


def _size(trade: ProjectedTrade) -> tuple[float, float, float]:
    return abs(trade.quantity), abs(trade.quantity * trade.price), trade.commission
