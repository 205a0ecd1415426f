"""A trade that may come: what an order, or a leg of one, would do to an account if it were filled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ibdesk.gateway.contracts.book import ContractData
from ibdesk.model import Position


class Prospect(msgspec.Struct, frozen=True, kw_only=True):
    """`quantity` is signed, a sale is negative; `price` is what it would trade at, `commission` what it would cost.

    Of the prospects of one `group`, as of orders of which one cancels the others, only one can come true.
    """

    contract: ContractData
    quantity: float
    price: float
    commission: float = 0.0
    group: str = ""


class Exposure(msgspec.Struct, frozen=True):
    """What would be held in one contract, and the price to value it at."""

    contract: ContractData
    quantity: float
    price: float


def exposure_after(held: Exposure, prospects: Iterable[Prospect]) -> Exposure:
    """Return a position once the prospects came true: what is held stands at the market's price, the rest at theirs."""
    quantity, price = held.quantity, held.price
    for prospect in prospects:
        total = quantity + prospect.quantity
        if quantity * prospect.quantity >= 0:
            price = (price * quantity + prospect.price * prospect.quantity) / total if total else prospect.price
        elif total * quantity < 0:
            price = prospect.price
        quantity = total
    return Exposure(held.contract, quantity, price)


def sides(prospects: Iterable[Prospect]) -> Iterator[tuple[ContractData, list[Prospect], list[Prospect]]]:
    """Yield each contract with its purchases and sales; of a group only its largest on each side."""
    chosen: dict[str, dict[tuple[bool, str], Prospect]] = {}
    for index, prospect in enumerate(prospects):
        rivals = chosen.setdefault(prospect.contract.id, {})
        key = (prospect.quantity > 0, prospect.group or f"#{index}")
        rival = rivals.get(key)
        if rival is None or abs(prospect.quantity) > abs(rival.quantity):
            rivals[key] = prospect
    for rivals in chosen.values():
        yield (
            next(iter(rivals.values())).contract,
            [prospect for (buys, _), prospect in rivals.items() if buys],
            [prospect for (buys, _), prospect in rivals.items() if not buys],
        )


def reduces(position: Position | None, prospect: Prospect) -> bool:
    """Return whether it closes no more than what is held."""
    held = 0.0 if position is None else position.quantity
    return held * prospect.quantity < 0 and abs(prospect.quantity) <= abs(held)
