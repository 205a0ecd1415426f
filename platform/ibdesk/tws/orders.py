"""Conversion of orders between our form and IB's."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from ib_async.order import Order as IbOrder
from ib_async.util import UNSET_DOUBLE

from ibdesk.model import Order, OrderStatus, OrderType, Side, TimeInForce
from ibdesk.tws.figures import is_known, known

_ORDER_TYPE = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.STOP: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
}
_TIME_IN_FORCE = {TimeInForce.DAY: "DAY", TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC"}
_SIDE = {Side.BUY: "BUY", Side.SELL: "SELL"}
_OUR_TYPE = {word: kind for kind, word in _ORDER_TYPE.items()}
_OUR_TIME_IN_FORCE = {word: kind for kind, word in _TIME_IN_FORCE.items()}
_OUR_SIDE = {word: side for side, word in _SIDE.items()}
_LIMIT_TYPES = frozenset({"LMT", "STP LMT"})
_STOP_TYPES = frozenset({"STP", "STP LMT"})
_EXECUTION_SIDE = {"BOT": Side.BUY, "SLD": Side.SELL}


class Terms(msgspec.Struct, frozen=True):
    """The terms that can be changed while an order is open."""

    quantity: float
    limit_price: float | None
    stop_price: float | None


def terms_of(order: Order) -> Terms:
    """Return the terms that we request."""
    return Terms(order.quantity, order.limit_price, order.stop_price)


def terms_from(order: IbOrder, asked: Order | None = None) -> Terms:
    """Return the terms at which TWS works an order; unset ones are taken from `asked`."""
    quantity = known(float(order.totalQuantity))
    wanted = Terms(quantity, None, None) if asked is None else terms_of(asked)
    return Terms(
        quantity=quantity if is_known(quantity) else wanted.quantity,
        limit_price=_price(order.lmtPrice, wanted.limit_price) if order.orderType in _LIMIT_TYPES else None,
        stop_price=_price(order.auxPrice, wanted.stop_price) if order.orderType in _STOP_TYPES else None,
    )


def changes_between(before: Terms, now: Terms, asked: Terms) -> list[str]:
    """Describe the terms that differ both from `before` and from `asked`."""
    found = []
    for name, old, new, wanted in (
        ("the quantity", before.quantity, now.quantity, asked.quantity),
        ("the limit", before.limit_price, now.limit_price, asked.limit_price),
        ("the stop", before.stop_price, now.stop_price, asked.stop_price),
    ):
        if new is not None and new not in (old, wanted):
            found.append(f"{name} {new:.10g} instead of {old:.10g}" if old is not None else f"{name} {new:.10g}")
    return found


def time_in_force_word(order: Order) -> str:
    """Return IB's word for an order's time in force."""
    return _TIME_IN_FORCE[order.time_in_force]


def order_for_tws(order: Order, account: str) -> IbOrder:
    """Return IB's form of the order; our id travels as `orderRef`."""
    message = IbOrder(
        action=_SIDE[order.side],
        totalQuantity=quantity_for_tws(order),
        orderType=_ORDER_TYPE[order.type],
        tif=_TIME_IN_FORCE[order.time_in_force],
        account=account,
        orderRef=order.id,
        outsideRth=order.outside_regular_hours,
    )
    if order.limit_price is not None:
        message.lmtPrice = order.limit_price
    if order.stop_price is not None:
        message.auxPrice = order.stop_price
    return message


def quantity_for_tws(order: Order) -> float:
    """Return the quantity of an order in IB's form: an integer if it is whole."""
    whole = int(order.quantity)
    return whole if order.quantity == whole else order.quantity


def order_from(order: IbOrder, *, owner: str, instrument: str, at_ns: int) -> Order | None:
    """Return our form of an order that TWS reports, with status UNKNOWN; None if we cannot have placed it."""
    kind, time_in_force = _OUR_TYPE.get(order.orderType), _OUR_TIME_IN_FORCE.get(order.tif)
    side = _OUR_SIDE.get(order.action)
    # For a filled order TWS reports total quantity zero, and the filled quantity beside it.
    quantity = float(order.totalQuantity or order.filledQuantity)
    if kind is None or time_in_force is None or side is None or not 0 < quantity < UNSET_DOUBLE:
        return None
    terms = terms_from(order)
    return Order(
        id=order.orderRef,
        owner=owner,
        instrument=instrument,
        side=side,
        quantity=quantity,
        type=kind,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        time_in_force=time_in_force,
        outside_regular_hours=order.outsideRth,
        status=OrderStatus.UNKNOWN,
        created_ns=at_ns,
        updated_ns=at_ns,
        permanent_id=order.permId,
    )


def side_of_execution(word: str) -> Side:
    """Return the side of IB's word (``BOT``, ``SLD``)."""
    return _EXECUTION_SIDE[word]


def status_from(word: str, *, refused: bool) -> OrderStatus | None:
    """Return the status of IB's word for an order's state, None if it changes nothing.

    `PreSubmitted` is an order that IB holds and has not passed on: a stop not yet triggered, a closed market.
    `Inactive` is a rejection if an error said so (`refused`); otherwise the order may become active again. The
    cancellation of an order that an error refused is that rejection. ``Filled`` changes nothing: executions do.
    """
    match word:
        case "PendingSubmit" | "ApiPending":
            return OrderStatus.SENT
        case "PreSubmitted":
            return OrderStatus.HELD
        case "Submitted":
            return OrderStatus.WORKING
        case "Cancelled" | "ApiCancelled":
            return OrderStatus.REJECTED if refused else OrderStatus.CANCELLED
        case "Inactive":
            return OrderStatus.REJECTED if refused else OrderStatus.HELD
    return None


def _price(value: float | Decimal | None, asked: float | None) -> float | None:
    # ib_async's order admits decimals and None here; its decoder always returns a float.
    price = known(float(value or 0.0))
    return price if is_known(price) else asked
