"""An order of ours and the states it can be in.

The states of an order::

    CREATED ─┬─> DENIED                                    our risk rule refused it; the venue never saw it
             ├─> CANCELLED                                 withdrawn while it waited to be sent; it never left
             └─> SENT ─┬─> WORKING ⇄ HELD ──┐
                       ├─> UNKNOWN (no answer; only a comparison with the venue resolves it)
                       └────────────────────┴─> FILLED | CANCELLED | REJECTED | EXPIRED
"""

from __future__ import annotations

import enum
import math
from typing import NoReturn

import msgspec

from ibdesk.errors import OrderError


class Side(enum.Enum):
    """Which way an order or fill moves the position."""

    BUY = "buy"
    SELL = "sell"

    # Members are singletons, so identity is enough. Enum's own hash is slower: it is computed in Python.
    __hash__ = object.__hash__

    def __init__(self, word: str) -> None:
        # +1 for a buy, -1 for a sale.
        self.sign = 1 if word == "buy" else -1


class OrderType(enum.Enum):
    """How an order's price is found."""

    MARKET = "market"
    """At once, at the best available price."""
    LIMIT = "limit"
    """At `limit_price` or better."""
    STOP = "stop"
    """Becomes a market order once the market trades at `stop_price` or through it."""
    STOP_LIMIT = "stop_limit"
    """Becomes a limit order at `limit_price` once the market trades at `stop_price` or through it."""

    __hash__ = object.__hash__


class TimeInForce(enum.Enum):
    """How long an order may wait."""

    DAY = "day"
    """To the end of the trading day."""
    GTC = "gtc"
    """Until cancelled."""
    IOC = "ioc"
    """Any quantity that does not fill at once is cancelled."""

    __hash__ = object.__hash__


class WhenClosed(enum.Enum):
    """The treatment of an order that is made while its market is closed."""

    USUAL = "usual"
    """A market order that opens a position is held here; all others are sent."""
    DENY = "deny"
    """The order is denied."""
    HOLD = "hold"
    """The order is held here and passes the risk gate again at the first price after the open."""
    SEND = "send"
    """The order is sent, and the venue holds it until the open."""


class OrderStatus(enum.Enum):
    """The state of an order; changed only by `Order.moved`, and to FILLED by `Order.after`."""

    CREATED = "created"
    """It has not left yet: it waits for its turn."""
    DENIED = "denied"
    """Our own risk rule refused it; final."""
    SENT = "sent"
    """It is in the journal and its bytes have left; no answer yet."""
    UNKNOWN = "unknown"
    """No answer in time, or the link broke. It may be live, so it is never resent and never called rejected."""
    HELD = "held"
    """The venue has it and does not work it yet (stop not triggered, market closed, shares being located)."""
    WORKING = "working"
    """It can be filled."""
    FILLED = "filled"
    """It was executed in full; final."""
    CANCELLED = "cancelled"
    """Its remaining quantity was withdrawn, by us or by the venue; final."""
    REJECTED = "rejected"
    """The venue refused it; final."""
    EXPIRED = "expired"
    """Its time in force ran out; final."""

    __hash__ = object.__hash__

    @property
    def is_final(self) -> bool:
        """Return whether only messages that were already on the way can follow."""
        return self in FINAL_STATUSES

    def may_become(self, status: OrderStatus) -> bool:
        """Return whether `status` may follow this one; the same status again always may."""
        return status is self or status in TRANSITIONS[self]


_S = OrderStatus
_LATE_FILL = frozenset({_S.FILLED})
_VENUE_ANSWERS = frozenset({_S.HELD, _S.WORKING, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})

# A cancelled or expired order can still become FILLED: its execution can cross the answer to the cancel.
# REJECTED follows WORKING too: TWS reports "Inactive" for orders that an exchange turns away later.
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.CREATED: frozenset({_S.DENIED, _S.SENT, _S.CANCELLED}),
    _S.DENIED: frozenset(),
    _S.SENT: _VENUE_ANSWERS | {_S.UNKNOWN},
    _S.UNKNOWN: _VENUE_ANSWERS,
    _S.HELD: (_VENUE_ANSWERS | {_S.UNKNOWN}) - {_S.HELD},
    _S.WORKING: (_VENUE_ANSWERS | {_S.UNKNOWN}) - {_S.WORKING},
    _S.FILLED: frozenset(),
    _S.CANCELLED: _LATE_FILL,
    _S.REJECTED: frozenset({_S.WORKING, _S.HELD, _S.FILLED}),
    _S.EXPIRED: _LATE_FILL,
}
# Whether an order of a type has a limit price, and whether it has a stop price.
_TAKES = {
    OrderType.MARKET: (False, False),
    OrderType.LIMIT: (True, False),
    OrderType.STOP: (False, True),
    OrderType.STOP_LIMIT: (True, True),
}
FINAL_STATUSES = frozenset({_S.DENIED, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours; each change returns the next value.

    `id` is our own name (strategy run and number) and travels to the venue as `orderRef`.
    `quantity` is positive, in shares or contracts. Prices are in the instrument's currency.
    """

    id: str
    owner: str
    instrument: str
    side: Side
    quantity: float
    type: OrderType = OrderType.MARKET
    limit_price: float | None = None
    stop_price: float | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    outside_regular_hours: bool = False
    """Whether it may also trade before and after the regular session."""
    when_closed: WhenClosed = WhenClosed.USUAL
    status: OrderStatus = OrderStatus.CREATED
    filled: float = 0.0
    average_price: float = 0.0
    created_ns: int = 0
    updated_ns: int = 0
    permanent_id: int = 0
    """IB's own id, stable over sessions and clients; 0 until the venue has answered."""
    reason: str = ""
    by: str = ""
    """The person who placed it by hand; empty for an order of a strategy."""
    client_key: str = ""
    """That person's own name for the order; empty for an order of a strategy."""
    correlation_id: str = ""
    """The outside request that caused it, or empty."""
    version: int = 1
    """The number of its terms and executions so far: changes of status do not count, as no caller decides on them."""

    @property
    def remaining(self) -> float:
        """Return the quantity not yet filled."""
        return self.quantity - self.filled

    @property
    def is_complete(self) -> bool:
        """Return whether it is filled, up to the rounding error of binary fractions (a billionth)."""
        return _is_complete(self.quantity, self.filled)

    @property
    def is_open(self) -> bool:
        """Return whether it may still be filled."""
        return self.status not in FINAL_STATUSES

    @property
    def signed_remaining(self) -> float:
        """Return the signed change of the position if the remaining quantity fills."""
        return self.side.sign * self.remaining

    def checked(self) -> Order:
        """Return the order itself if its fields are consistent.

        Raises:
            OrderError: If the quantity is not a positive number, a price that its type needs is missing or not
                finite, a price is given that its type does not take, or a market order asks for extended hours.
        """
        if not (math.isfinite(self.quantity) and self.quantity > 0):
            raise OrderError(f"order {self.id}: quantity must be a positive number, got {self.quantity!r}")
        limit, stop = self.limit_price, self.stop_price
        is_finite = (limit is None or math.isfinite(limit)) and (stop is None or math.isfinite(stop))
        if not is_finite or (limit is not None, stop is not None) != _TAKES[self.type]:
            self._refuse_prices()
        if self.outside_regular_hours and self.type is OrderType.MARKET:
            # TWS ignores the flag for such an order (warning 2109).
            raise OrderError(f"order {self.id}: a market order trades in regular hours only: give it a limit_price")
        return self

    def _refuse_prices(self) -> NoReturn:
        """Raise the error that names the wrong price."""
        for name, price, is_taken in zip(
            ("limit_price", "stop_price"), (self.limit_price, self.stop_price), _TAKES[self.type], strict=True
        ):
            if (price is not None) != is_taken:
                verb = "needs a" if price is None else "takes no"
                raise OrderError(f"order {self.id}: a {self.type.value} order {verb} {name}")
            if price is not None and not math.isfinite(price):
                raise OrderError(f"order {self.id}: {name} must be a finite number, got {price!r}")
        raise AssertionError(self)

    def moved(self, status: OrderStatus, at_ns: int, *, reason: str = "", permanent_id: int = 0) -> Order:
        """Return the order in another state.

        Raises:
            OrderError: If the transition table does not allow it.
        """
        if not self.status.may_become(status):
            raise OrderError(f"order {self.id} is {self.status.value} and cannot become {status.value}")
        return msgspec.structs.replace(
            self,
            status=status,
            updated_ns=at_ns,
            reason=reason or self.reason,
            permanent_id=permanent_id or self.permanent_id,
        )

    def after(self, quantity: float, price: float, at_ns: int) -> Order:
        """Return the order after an execution of `quantity` at `price`.

        The status becomes FILLED when nothing remains. An execution beyond the ordered quantity is booked in full: the
        venue decides what it executed. A negative quantity reverses an execution that the venue has corrected.
        """
        filled = self.filled + quantity
        average = (self.average_price * self.filled + price * quantity) / filled if filled else 0.0
        return msgspec.structs.replace(
            self,
            filled=filled,
            average_price=average,
            updated_ns=at_ns,
            version=self.version + 1,
            status=OrderStatus.FILLED if _is_complete(self.quantity, filled) else self.status,
        )


def _is_complete(quantity: float, filled: float) -> bool:
    return quantity - filled <= quantity * 1e-9
