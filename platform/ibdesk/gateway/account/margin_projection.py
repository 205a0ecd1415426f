"""The projected trades of an account's working orders, kept as sums so that one more order needs no walk over all."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from ibdesk.gateway.account.projected_trade import ProjectedTotal, ProjectedTrade
from ibdesk.gateway.contracts.contract import ContractData

Place = tuple[Hashable, int]
"""An order and the number of one of its trades; a combination has several."""


class ProjectedSide:
    """Purchases or sales of one contract, as a sum. Of a group only the largest counts, by size, then value.

    The cost of adding or removing a trade depends only on the size of its group.
    """

    def __init__(self, contract: ContractData) -> None:
        self.coming = ProjectedTotal(contract)
        self._members = 0
        self._groups: dict[str, dict[Place, ProjectedTrade]] = {}

    def add(self, place: Place, trade: ProjectedTrade) -> None:
        """Add a trade."""
        self._members += 1
        if trade.group:
            group = self._groups.setdefault(trade.group, {})
            self._count(_largest(group), -1)
            group[place] = trade
            trade = _largest(group) or trade
        self._count(trade, 1)

    def take(self, place: Place, trade: ProjectedTrade) -> None:
        """Remove a trade."""
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
        """Return whether there are no trades. The side is then dropped, with the rounding error left in its sum."""
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
    """The projected trades of one account's working orders, by contract and side."""

    def __init__(self) -> None:
        self._projected_trades: dict[Hashable, tuple[ProjectedTrade, ...]] = {}
        self._sides: dict[str, dict[bool, ProjectedSide]] = {}

    def enter(self, order: Hashable, trades: Iterable[ProjectedTrade]) -> None:
        """Add an order's trades, in place of its previous ones."""
        self.remove(order)
        self._projected_trades[order] = entered = tuple(trades)
        for number, trade in enumerate(entered):
            sides = self._sides.setdefault(trade.contract.id, {})
            buys = trade.quantity > 0
            if buys not in sides:
                sides[buys] = ProjectedSide(trade.contract)
            sides[buys].add((order, number), trade)

    def remove(self, order: Hashable) -> None:
        """Remove an order's trades, if there are any."""
        for number, trade in enumerate(self._projected_trades.pop(order, ())):
            name, buys = trade.contract.id, trade.quantity > 0
            sides = self._sides[name]
            sides[buys].take((order, number), trade)
            if sides[buys].is_empty:
                del sides[buys]
            if not sides:
                del self._sides[name]

    def ways(self) -> Iterator[tuple[ContractData, list[ProjectedTotal]]]:
        """Yield each contract that may trade, with the total of its purchases and that of its sales, if any."""
        for sides in self._sides.values():
            coming = [side.coming for side in sides.values()]
            yield coming[0].contract, coming


def _largest(group: dict[Place, ProjectedTrade]) -> ProjectedTrade | None:
    return max(group.values(), key=_size, default=None)


def _size(trade: ProjectedTrade) -> tuple[float, float, float]:
    return abs(trade.quantity), abs(trade.quantity * trade.price), trade.commission
