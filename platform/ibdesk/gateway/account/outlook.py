"""What the working orders of an account would bring, kept sum by sum, so that one order more costs no walk over all."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from ibdesk.gateway.account.prospect import Coming, Prospect
from ibdesk.gateway.contracts.contract import ContractData

# Place: an order and which of its prospects; a combination has several.
Place = tuple[Hashable, int]


class Side:
    """Purchases or sales of one contract, as the sum of all; of a group only the largest counts, by size, then value.

    Adding and taking away one costs as much however many there are, or as many as there are in its group.
    """

    def __init__(self, contract: ContractData) -> None:
        self.coming = Coming(contract)
        self._members = 0
        self._groups: dict[str, dict[Place, Prospect]] = {}

    def add(self, place: Place, prospect: Prospect) -> None:
        """Count one."""
        self._members += 1
        if prospect.group:
            group = self._groups.setdefault(prospect.group, {})
            self._count(_largest(group), -1)
            group[place] = prospect
            prospect = _largest(group) or prospect
        self._count(prospect, 1)

    def take(self, place: Place, prospect: Prospect) -> None:
        """Count one no more."""
        self._members -= 1
        group = self._groups.get(prospect.group)
        if group is None:
            self._count(prospect, -1)
        else:
            self._count(_largest(group), -1)
            del group[place]
            self._count(_largest(group), 1)
            if not group:
                del self._groups[prospect.group]

    @property
    def is_empty(self) -> bool:
        """Return whether it counts nothing; then it is thrown away, with what binary fractions have left of the sum."""
        return not self._members

    def _count(self, prospect: Prospect | None, sign: int) -> None:
        if prospect is None:
            return
        before = self.coming
        self.coming = Coming(
            before.contract,
            before.quantity + sign * prospect.quantity,
            before.value + sign * prospect.quantity * prospect.price,
            before.commission + sign * prospect.commission,
        )


class Outlook:
    """The prospects of one account's working orders, by contract and side."""

    def __init__(self) -> None:
        self._prospects: dict[Hashable, tuple[Prospect, ...]] = {}
        self._sides: dict[str, dict[bool, Side]] = {}

    def enter(self, order: Hashable, prospects: Iterable[Prospect]) -> None:
        """Count what an order would bring, in place of what it would have brought before."""
        self.remove(order)
        self._prospects[order] = entered = tuple(prospects)
        for number, prospect in enumerate(entered):
            sides = self._sides.setdefault(prospect.contract.id, {})
            buys = prospect.quantity > 0
            if buys not in sides:
                sides[buys] = Side(prospect.contract)
            sides[buys].add((order, number), prospect)

    def remove(self, order: Hashable) -> None:
        """Count an order no more, if it was counted."""
        for number, prospect in enumerate(self._prospects.pop(order, ())):
            name, buys = prospect.contract.id, prospect.quantity > 0
            sides = self._sides[name]
            sides[buys].take((order, number), prospect)
            if sides[buys].is_empty:
                del sides[buys]
            if not sides:
                del self._sides[name]

    def ways(self) -> Iterator[tuple[ContractData, list[Coming]]]:
        """Yield each contract that may trade, with all its purchases together, and all its sales, where there are."""
        for sides in self._sides.values():
            coming = [side.coming for side in sides.values()]
            yield coming[0].contract, coming


def _largest(group: dict[Place, Prospect]) -> Prospect | None:
    return max(group.values(), key=_size, default=None)


def _size(prospect: Prospect) -> tuple[float, float, float]:
    return abs(prospect.quantity), abs(prospect.quantity * prospect.price), prospect.commission
