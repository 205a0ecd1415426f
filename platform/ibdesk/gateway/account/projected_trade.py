"""Trades that may come: what an order would bring, and several in one contract taken together."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.model import Position


class ProjectedTrade(msgspec.Struct, frozen=True, kw_only=True):
    """`quantity` is signed, a sale is negative; `price` is what it would trade at, `commission` what it would cost.

    Of the trades of one `group`, as of orders of which one cancels the others, only one can come true.
    """

    contract: ContractData
    quantity: float
    price: float
    commission: float = 0.0
    group: str = ""


class ProjectedTotal(msgspec.Struct, frozen=True):
    """Trades in one contract together: signed quantity, the sum of quantity times price, and what they would cost."""

    contract: ContractData
    quantity: float = 0.0
    value: float = 0.0
    commission: float = 0.0

    @property
    def price(self) -> float:
        """Return the average price; zero when nothing is traded."""
        return self.value / self.quantity if self.quantity else 0.0

    def plus(self, trade: ProjectedTrade) -> ProjectedTotal:
        """Return these and one more."""
        return ProjectedTotal(
            self.contract,
            self.quantity + trade.quantity,
            self.value + trade.quantity * trade.price,
            self.commission + trade.commission,
        )


def together(trades: Iterable[ProjectedTrade]) -> dict[str, ProjectedTotal]:
    """Return what comes by contract if all of these come true."""
    coming: dict[str, ProjectedTotal] = {}
    for trade in trades:
        name = trade.contract.id
        coming[name] = coming.get(name, ProjectedTotal(trade.contract)).plus(trade)
    return coming


class Exposure(msgspec.Struct, frozen=True):
    """What would be held in one contract, and the price to value it at."""

    contract: ContractData
    quantity: float
    price: float


def exposure_after(held: Exposure, coming: ProjectedTotal | None) -> Exposure:
    """Return a position once trades came true.

    What is held stands at the market's price and what is added to it at its own; what remains beyond a position that
    was closed stands at the average price of the trades that closed it.
    """
    if coming is None or not coming.quantity:
        return held
    total = held.quantity + coming.quantity
    if held.quantity * coming.quantity >= 0:
        return Exposure(held.contract, total, (held.quantity * held.price + coming.value) / total)
    return Exposure(held.contract, total, coming.price if total * held.quantity < 0 else held.price)


def reduces(position: Position | None, trade: ProjectedTrade) -> bool:
    """Return whether it closes no more than what is held."""
    held = 0.0 if position is None else position.quantity
    return held * trade.quantity < 0 and abs(trade.quantity) <= abs(held)
