"""Orders by hand: made ready for the risk gate, placed once, and answered when the gate has decided."""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from typing import TypeVar

from ibdesk.desk.runtime import Runtime, base36
from ibdesk.errors import DeskError, OrderChangedError, OrderDeniedError, OrderError
from ibdesk.model import (
    Action,
    AnyInstrument,
    Instrument,
    ModifyRequest,
    Order,
    OrderDenied,
    OrderStatus,
    OrderType,
    PlaceRequest,
    Side,
    TimeInForce,
    WatchMarket,
)

# So long an order waits for the first price of its instrument, without which the risk gate cannot value it.
FIRST_PRICE_SECONDS = 3.0

Word = TypeVar("Word", bound=enum.Enum)


class ByHand:
    """Places and changes orders for people."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._last_microsecond = 0

    async def place(
        self,
        symbol: str | Instrument,
        *,
        side: Side | str,
        quantity: float,
        limit: float | None,
        stop: float | None,
        time_in_force: TimeInForce | str,
        client_key: str,
        by: str,
        correlation_id: str,
    ) -> Order:
        """Return the order once it has passed the gate and its bytes were given to the socket.

        One that the same caller placed under the same key before is returned as it is now, and nothing is sent.

        Raises:
            OrderDeniedError: If a risk rule refuses it.
            OrderError: If its terms make no sense together, or the key was used for another order.
            InstrumentError: If the instrument is unknown or ambiguous.
            DeskError: If nobody knows a price of it.
            LinkError: If TWS cannot be asked.
        """
        runtime = self._runtime
        instrument = await runtime.qualified(symbol)
        request = PlaceRequest(
            order_id=self._new_id(),
            instrument=instrument,
            side=_word(Side, side, "side"),
            quantity=float(quantity),
            order_type=_TYPES[limit is not None, stop is not None],
            limit_price=None if limit is None else float(limit),
            stop_price=None if stop is None else float(stop),
            time_in_force=_word(TimeInForce, time_in_force, "time_in_force"),
            at_ns=runtime.clock.now_ns(),
            client_key=client_key,
            by=by,
            correlation_id=correlation_id,
        )
        known = self._called(request)
        if known is not None:
            return known
        await self._see_price(instrument, by, correlation_id)
        # From here to the answer there is no await: of two requests with one key the second finds the first's order.
        known = self._called(request)
        if known is not None:
            return known
        refuse_denied(runtime.command(request))
        return runtime.engine.blotter.orders[request.order_id]

    def modify(self, request: ModifyRequest, *, seen_ns: int | None = None) -> Order:
        """Ask for new terms and return the order, which keeps its own until the venue agrees.

        Raises:
            OrderDeniedError: If a risk rule refuses them.
            OrderChangedError: If the order was updated at another time than `seen_ns`.
            OrderError: If they make no sense together, none is given, or the order is no longer open.
            DeskError: If this desk has no such order.
        """
        order = self._runtime.engine.blotter.orders.get(request.order_id)
        if order is None:
            raise no_order(request.order_id)
        if seen_ns is not None and order.updated_ns != seen_ns:
            raise OrderChangedError(order.id)
        if not order.is_open:
            raise OrderError(f"order {order.id} is {order.status.value}: there is nothing left of it to change")
        if request.quantity is request.limit_price is request.stop_price is None:
            raise OrderError(f"order {order.id}: say what is to change, its quantity, its limit or its stop price")
        refuse_denied(self._runtime.command(request))
        return self._runtime.engine.blotter.orders[order.id]

    def _called(self, request: PlaceRequest) -> Order | None:
        """Return the order that was placed under the request's key already.

        Raises:
            OrderError: If that is another order, or it was denied.
        """
        key = request.client_key
        known = self._runtime.engine.blotter.called(request.by, key) if key else None
        if known is None:
            return None
        if _wanted(request) != _meant(known):
            raise OrderError(
                f"the key {key!r} was used for order {known.id}, which is another one ({known.side.value} "
                f"{known.quantity:g} {known.instrument}): give each order a key of its own"
            )
        if known.status is OrderStatus.DENIED:
            raise OrderError(f"{known.reason}; that was the answer to the key {key!r}, a new try needs a new key")
        return known

    async def _see_price(self, instrument: AnyInstrument, by: str, correlation_id: str) -> None:
        """Follow the instrument's market from now on, and wait until a price of it is known.

        Raises:
            DeskError: If none comes, as where the market is closed and no order has been traded.
        """
        runtime = self._runtime
        if instrument.id not in runtime.engine.markets:
            runtime.turn(WatchMarket(instrument, runtime.clock.now_ns(), by, correlation_id))
        runtime.service.subscribe_quotes(instrument)
        if not await runtime.first_price(instrument.id, FIRST_PRICE_SECONDS):
            raise DeskError(
                f"no price of {instrument.id} came within {FIRST_PRICE_SECONDS:g} s, so that nothing tells what the "
                f"order would come to: try again when its market is open"
            )

    def _new_id(self) -> str:
        """Return a name that no order had before, here or in another desk of this account: it marks it for good."""
        self._last_microsecond = max(time.time_ns() // 1_000, self._last_microsecond + 1)
        return f"manual-{base36(self._last_microsecond)}"


def refuse_denied(actions: Sequence[Action]) -> None:
    """Turn a denial among the consequences of a request into the error that its caller waits for.

    Raises:
        OrderDeniedError: If there is one.
    """
    for action in actions:
        if isinstance(action, OrderDenied):
            raise OrderDeniedError(action.order_id, action.rule, action.limit, action.asked)


def no_order(order_id: str) -> DeskError:
    """Return the error for an order that this desk does not have."""
    return DeskError(f"there is no order {order_id!r} on this desk")


def _wanted(request: PlaceRequest) -> tuple[object, ...]:
    return request.instrument.id, request.side, request.order_type, request.time_in_force


def _meant(order: Order) -> tuple[object, ...]:
    # Quantity and prices may have been changed since, and prices were put on the tick grid.
    return order.instrument, order.side, order.type, order.time_in_force


def _word(kind: type[Word], given: Word | str, name: str) -> Word:
    try:
        return kind(given)
    except ValueError:
        known = ", ".join(str(each.value) for each in kind)
        raise OrderError(f"{name} must be one of {known}, got {given!r}") from None


_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}
