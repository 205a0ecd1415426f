"""Projected trades: what an order would trade, and the total per contract."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.model import Position


class ProjectedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that an order would make.

    `quantity` is signed, a sale is negative; `price` and `commission` are those the trade would have. Of the trades of
    one `group`, such as orders that cancel each other, only one can happen.
    """

    contract: ContractData
    quantity: float
    price: float
    commission: float = 0.0
    group: str = ""


class ProjectedTotal(msgspec.Struct, frozen=True):
    """The total of trades in one contract: signed quantity, sum of quantity times price, and commission."""

    contract: ContractData
    quantity: float = 0.0
    value: float = 0.0
    commission: float = 0.0

    @property
    def price(self) -> float:
        """Return the average price; zero if nothing is traded."""
        return self.value / self.quantity if self.quantity else 0.0

    def plus(self, trade: ProjectedTrade) -> ProjectedTotal:
        """Return the total with one more trade."""
        return ProjectedTotal(
            self.contract,
            self.quantity + trade.quantity,
            self.value + trade.quantity * trade.price,
            self.commission + trade.commission,
        )


def together(trades: Iterable[ProjectedTrade]) -> dict[str, ProjectedTotal]:
    """Return the total of the trades by contract."""
    coming: dict[str, ProjectedTotal] = {}
    for trade in trades:
        name = trade.contract.id
        coming[name] = coming.get(name, ProjectedTotal(trade.contract)).plus(trade)
    return coming


class ProjectedPosition(msgspec.Struct, frozen=True):
    """A position in one contract, and the price that values it."""

    contract: ContractData
    quantity: float
    price: float


def exposure_after(held: ProjectedPosition, coming: ProjectedTotal | None) -> ProjectedPosition:
    """Return a position after projected trades.

    The present position is valued at the market's price, and an addition at its own price. A position that the trades
    turned around is valued at their average price.
    """
    if coming is None or not coming.quantity:
        return held
    total = held.quantity + coming.quantity
    if held.quantity * coming.quantity >= 0:
        return ProjectedPosition(held.contract, total, (held.quantity * held.price + coming.value) / total)
    return ProjectedPosition(held.contract, total, coming.price if total * held.quantity < 0 else held.price)


def reduces(position: Position | None, trade: ProjectedTrade) -> bool:
    """Return whether a trade closes at most the present position."""
    held = 0.0 if position is None else position.quantity
    return held * trade.quantity < 0 and abs(trade.quantity) <= abs(held)
