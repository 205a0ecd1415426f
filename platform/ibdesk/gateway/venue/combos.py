"""Prices of a combination (IB's BAG) and its legs.

Buying a combination buys its BUY legs at the ask and sells its SELL legs at the bid; selling it does the reverse. So
the net price is the cost of one combination, and may be negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.model import Quote, Side

QuoteOf = Callable[[str], Quote | None]


def leg_trades(contract: ContractData, side: Side) -> Iterator[tuple[ContractData, Side, int]]:
    """Yield the trades in one combination: contract, side and count of each leg."""
    for leg in contract.legs:
        buys = (leg.action == "BUY") is (side is Side.BUY)
        yield leg.contract, Side.BUY if buys else Side.SELL, leg.ratio


def leg_prices(contract: ContractData, side: Side, quote_of: QuoteOf) -> list[float] | None:
    """Return the price at which each leg would trade now; None while one of them has no price."""
    prices = []
    for leg, its_side, _ in leg_trades(contract, side):
        quote = quote_of(leg.id)
        price = math.nan if quote is None else quote.ask if its_side is Side.BUY else quote.bid
        if math.isnan(price):
            return None
        prices.append(price)
    return prices


def net_price(contract: ContractData, prices: list[float]) -> float:
    """Return the price of one combination from the prices of its legs, rounded to its tick."""
    net = sum(leg.signed_ratio * price for leg, price in zip(contract.legs, prices, strict=True))
    return contract.instrument.round_price(net)


def is_good(net: float, limit: float | None, side: Side) -> bool:
    """Return whether an order with this limit accepts the net price."""
    return limit is None or side.sign * (net - limit) <= 0


def shown_sets(contract: ContractData, side: Side, quote_of: QuoteOf) -> float:
    """Return the number of combinations that the displayed sizes of the legs' quotes allow."""
    sets = math.inf
    for leg, its_side, ratio in leg_trades(contract, side):
        quote = quote_of(leg.id)
        shown = 0.0 if quote is None else quote.ask_size if its_side is Side.BUY else quote.bid_size
        sets = min(sets, shown // ratio)
    return sets
