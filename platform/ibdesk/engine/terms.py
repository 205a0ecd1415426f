"""The terms of an order that its instrument allows: prices on the grid, sizes on the increment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from ibdesk.errors import OrderDeniedError, OrderError
from ibdesk.model import AnyInstrument, Index, Order, OrderType, Rounding, Side, TimeInForce
from ibdesk.model.price_grid import on_grid, rounded, step_at

if TYPE_CHECKING:
    from ibdesk.engine.market import Market

# Beyond this number of steps, floats lie farther apart than the prices of the grid.
_MOST_STEPS = 2**52


def fitted(order: Order, instrument: AnyInstrument) -> Order:
    """Return the order with its prices on the instrument's grid, the one place where they are rounded.

    A limit is rounded to the safe side: down for a buy, up for a sale, so that nothing is bought above or sold below
    the requested limit. A stop is rounded the other way, up for a buy and down for a sale: the market trades on the
    grid, so the stop is triggered by exactly the prices that would have triggered the requested one.

    Raises:
        OrderDeniedError: If the size is off the size increment, or a price is below the lowest price or so high that
            floats cannot represent its steps; such terms are never changed silently.
    """
    if not instrument.fits_size(order.quantity):
        raise OrderDeniedError(order.id, "size_increment", instrument.size_increment, order.quantity)
    limit, stop = order.limit_price, order.stop_price
    if limit is None and stop is None:
        return order
    buys = order.side is Side.BUY
    if limit is not None:
        limit = _price(order, instrument, limit, Rounding.DOWN if buys else Rounding.UP)
    if stop is not None:
        stop = _price(order, instrument, stop, Rounding.UP if buys else Rounding.DOWN)
    if limit == order.limit_price and stop == order.stop_price:
        return order
    return msgspec.structs.replace(order, limit_price=limit, stop_price=stop)


def collared(order: Order, market: Market, fraction: float) -> Order:
    """Return a market order as a limit order that reaches at most `fraction` through the market, on the grid.

    It is IOC: the venue cancels the quantity that does not fill within the collar. Only a market order that is good
    till cancelled stays so. The reach is measured from the other side of the quote, or else from the last price;
    without any price the order is unchanged.
    """
    quote, buys = market.quote, order.side is Side.BUY
    side = math.nan if quote is None else quote.ask if buys else quote.bid
    reference = market.price if math.isnan(side) else side
    if reference is None:
        return order
    limit = reference + order.side.sign * fraction * abs(reference)
    limit = max(
        market.instrument.round_price(limit, Rounding.DOWN if buys else Rounding.UP), market.instrument.lowest_price
    )
    keeps = order.time_in_force is TimeInForce.GTC
    return msgspec.structs.replace(
        order,
        type=OrderType.LIMIT,
        limit_price=limit,
        time_in_force=TimeInForce.GTC if keeps else TimeInForce.IOC,
    )


def _price(order: Order, instrument: AnyInstrument, asked: float, rounding: Rounding) -> float:
    increments = instrument.increments
    price = on_grid(asked, increments)
    if price is None:
        highest = _MOST_STEPS * step_at(asked, increments)
        if not abs(asked) <= highest:
            raise OrderDeniedError(order.id, "highest_price", highest, asked)
        price = rounded(asked, increments, rounding)
    # The lowest price, if there is one, is the first step.
    if price < increments[0][1] or asked <= 0:
        lowest = instrument.lowest_price
        if price < lowest or asked <= 0 < lowest:
            raise OrderDeniedError(order.id, "lowest_price", lowest, asked)
    return price


def refuse_index(order: Order, instrument: AnyInstrument) -> None:
    """Refuse an order on an index.

    Raises:
        OrderError: If it is one.
    """
    if isinstance(instrument, Index):
        raise OrderError(f"order {order.id}: {order.instrument} is an index, which cannot be ordered")
