"""Orders by hand: prepared for the risk gate, placed once, and answered after the gate's decision."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, SupportsFloat, TypeVar

import msgspec

from ibdesk.clock import wall_ns
from ibdesk.desk.naming import base36
from ibdesk.desk.recorder import as_recorded
from ibdesk.engine import MANUAL, mark_of
from ibdesk.errors import DeskError, InstrumentError, OrderChangedError, OrderDeniedError, OrderError
from ibdesk.model import (
    Action,
    AnyInstrument,
    CancelRequest,
    Instrument,
    Link,
    ModifyRequest,
    Order,
    OrderDenied,
    OrderStatus,
    OrderType,
    PlaceRequest,
    Side,
    TimeInForce,
    WatchMarket,
    WhenClosed,
)

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime

Word = TypeVar("Word", bound=enum.Enum)
# How long the venue may take to cancel orders before a book is closed, and how often that is checked.
_CANCEL_SECONDS = 10.0
_LOOK_SECONDS = 0.02
# How long a comparison with the account is waited for.
_COMPARE_SECONDS = 10.0


class ManualOrders:
    """Places and changes orders for people."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._last_microsecond = 0
        # Requests since the start by key, before their prices are rounded to the tick size or changed.
        self._asked: dict[tuple[str, str], PlaceRequest] = {}

    async def place(
        self,
        symbol: str | Instrument,
        *,
        side: Side | str,
        quantity: float,
        limit: float | None,
        stop: float | None,
        time_in_force: TimeInForce | str,
        outside_regular_hours: bool,
        when_closed: WhenClosed | str,
        client_key: str,
        by: str,
        correlation_id: str,
    ) -> Order:
        """Place an order and return it once it has passed the gate, and its bytes are written or it waits its turn.

        An order that the same caller placed under the same key before is returned unchanged, and nothing is sent.

        Raises:
            OrderDeniedError: If a risk rule refuses it.
            OrderError: If its terms contradict each other, or the key was used for another order.
            InstrumentError: If the instrument is unknown or ambiguous.
            DeskError: If no price of it is known, and the order has none.
            LinkError: If TWS cannot be asked.
        """
        runtime = self._runtime
        if not isinstance(symbol, str | Instrument):
            raise InstrumentError(f"symbol is the name of an instrument or an Instrument, got {symbol!r}")
        instrument = await runtime.qualified(symbol)
        request = PlaceRequest(
            order_id="",
            instrument=instrument,
            side=_word(Side, side, "side"),
            quantity=figure_of(quantity, "quantity"),
            order_type=_TYPES[limit is not None, stop is not None],
            limit_price=None if limit is None else figure_of(limit, "limit"),
            stop_price=None if stop is None else figure_of(stop, "stop"),
            time_in_force=_word(TimeInForce, time_in_force, "time_in_force"),
            outside_regular_hours=outside_regular_hours,
            when_closed=_word(WhenClosed, when_closed, "when_closed"),
            at_ns=runtime.clock.now_ns(),
            client_key=client_key,
            by=by,
            correlation_id=correlation_id,
        )
        request = msgspec.structs.replace(as_recorded(request), order_id=self._new_id(by, client_key))
        known = self._called(request)
        if known is not None:
            return known
        await self.watch(instrument, by, correlation_id, has_price=limit is not None or stop is not None)
        if runtime.engine.gate.halts.is_exclusive:
            await self._look_afresh()
        # From here to the answer there is no await: the second of two requests with one key finds the first's order.
        known = self._called(request)
        if known is not None:
            return known
        actions = runtime.command(request, is_as_recorded=True)
        if client_key:
            self._asked[by, client_key] = request
        refuse_denied(actions, request.order_id)
        return runtime.engine.blotter.orders[request.order_id]

    async def flatten(self, symbol: str, by: str, correlation_id: str) -> list[Order]:
        """Cancel the orders of the book `manual`, then close its positions; return the closing orders.

        Raises:
            DeskError: If the venue does not answer a cancel; then nothing is closed.
            OrderDeniedError: If a risk rule refuses an order.
            LinkError: If TWS cannot be asked.
        """
        runtime, blotter = self._runtime, self._runtime.engine.blotter
        at_ns = runtime.clock.now_ns()
        runtime.command(CancelRequest("", at_ns, owner=MANUAL, symbol=symbol, by=by, correlation_id=correlation_id))
        deadline = asyncio.get_running_loop().time() + _CANCEL_SECONDS
        while left := [each.id for each in blotter.all_open() if _is_of(each.owner, each.instrument, symbol)]:
            if asyncio.get_running_loop().time() >= deadline:
                raise DeskError(
                    f"the venue has not confirmed within {_CANCEL_SECONDS:g} s that {', '.join(left)} ended, so "
                    f"nothing is closed: check TWS, then try again"
                )
            await asyncio.sleep(_LOOK_SECONDS)
        held = runtime.engine.portfolio.open_book(MANUAL).positions.values()
        return [
            await self.place(
                position.instrument,
                side=Side.SELL if position.quantity > 0 else Side.BUY,
                quantity=abs(position.quantity),
                limit=None,
                stop=None,
                time_in_force=TimeInForce.DAY,
                outside_regular_hours=False,
                when_closed=WhenClosed.USUAL,
                client_key="",
                by=by,
                correlation_id=correlation_id,
            )
            for position in [each for each in held if each.quantity and symbol in ("", each.instrument)]
        ]

    def modify(self, request: ModifyRequest, *, seen: int | None = None) -> Order:
        """Request new terms and return the order, which keeps its terms until the venue agrees.

        Raises:
            OrderDeniedError: If a risk rule refuses them.
            OrderChangedError: If its version is not `seen`, or a change of it is on its way.
            OrderError: If the terms contradict each other, none is given, or the order is no longer open.
            DeskError: If this desk has no such order.
        """
        order = self._runtime.engine.blotter.orders.get(request.order_id)
        if order is None:
            raise no_order(request.order_id)
        asked = self._runtime.unanswered.of(order.id)
        if seen is not None and (order.version != seen or (asked is not None and asked.what == "change")):
            raise OrderChangedError(order.id)
        if not order.is_open:
            raise OrderError(f"order {order.id} is {order.status.value}: there is nothing left of it to change")
        if request.quantity is request.limit_price is request.stop_price is None:
            raise OrderError(f"order {order.id}: give a new quantity, limit or stop price")
        refuse_denied(self._runtime.command(request), order.id)
        return self._runtime.engine.blotter.orders[order.id]

    def _called(self, request: PlaceRequest) -> Order | None:
        """Return the order that was already placed under the request's key.

        Raises:
            OrderError: If that is another order, or it was denied.
        """
        key = request.client_key
        known = self._runtime.engine.blotter.called(request.by, key) if key else None
        if known is None:
            return None
        if not self._means(request, known):
            raise OrderError(
                f"the key {key!r} was used for order {known.id}, which is another one ({known.side.value} "
                f"{known.quantity:g} {known.instrument}): give each order its own key"
            )
        if known.status is OrderStatus.DENIED:
            raise OrderError(f"{known.reason}; that was the answer to the key {key!r}, a new try needs a new key")
        return known

    def _means(self, request: PlaceRequest, known: Order) -> bool:
        """Return whether a request under a known key repeats the one that placed the order."""
        first = self._asked.get((request.by, request.client_key))
        if first is not None:
            return _terms(request) == _terms(first)
        # It is from an earlier journal: its quantity and prices may have been changed since the request.
        wanted = request.instrument.id, request.side, request.order_type, request.time_in_force
        return wanted == (known.instrument, known.side, known.type, known.time_in_force)

    async def watch(self, instrument: AnyInstrument, by: str, correlation_id: str, *, has_price: bool = False) -> None:
        """Subscribe to the instrument's quotes, and wait until a price of it is known.

        An order that `has_price` is valued by its own price if the market has none, and TWS holds it until the market
        opens; while the market is closed there is no wait.

        Raises:
            DeskError: If no price arrives, for example because the market is closed.
        """
        runtime, seconds = self._runtime, self._runtime.settings.first_price_seconds
        if instrument.id not in runtime.engine.markets:
            runtime.command(WatchMarket(instrument, runtime.clock.now_ns(), by, correlation_id))
        runtime.service.subscribe_quotes(instrument)
        if has_price and not instrument.session.is_open(runtime.clock.now_ns()):
            return
        if not await runtime.first_prices.wait(instrument.id, seconds) and not has_price:
            raise DeskError(
                f"no price of {instrument.id} came within {seconds:g} s, so the order cannot be valued: give it a "
                f"limit, or try again when its market is open"
            )

    async def _look_afresh(self) -> None:
        """Compare the account with the books: the guardian trades too, and the desk receives its trades later.

        Raises:
            DeskError: If TWS does not answer in time.
        """
        runtime = self._runtime
        runtime.service.catch_up("an order by hand, while the guardian acts")
        if not await until_link_up(runtime):
            raise DeskError(
                f"the guardian has halted the account, and its positions were not known within {_COMPARE_SECONDS:g} s, "
                f"so nothing was ordered: try again, or close the position in TWS"
            )

    def _new_id(self, by: str, client_key: str) -> str:
        """Return an order id that was never used before, here or at another desk of this account.

        It contains a mark of the caller's key, so that a repeat is recognized even if the rest of the order was lost.
        """
        self._last_microsecond = max(wall_ns() // 1_000, self._last_microsecond + 1)
        name = f"{MANUAL}-{base36(self._last_microsecond)}"
        return f"{name}-{mark_of(by, client_key)}" if client_key else name


async def until_link_up(runtime: Runtime) -> bool:
    """Wait at most 10 s until the books are compared and orders can leave; return whether they can."""
    deadline = asyncio.get_running_loop().time() + _COMPARE_SECONDS
    while runtime.engine.link is not Link.UP:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(_LOOK_SECONDS)
    return True


def refuse_denied(actions: Sequence[Action], order_id: str) -> None:
    """Raise a denial among the actions that a request caused.

    Raises:
        OrderDeniedError: If the order was denied.
    """
    for action in actions:
        if isinstance(action, OrderDenied) and action.order_id == order_id:
            raise OrderDeniedError(action.order_id, action.rule, action.limit, action.asked)


def no_order(order_id: str) -> DeskError:
    """Return the error for an order that this desk does not have."""
    return DeskError(f"there is no order {order_id!r} on this desk")


def _terms(request: PlaceRequest) -> PlaceRequest:
    """Return the request without the fields in which a repeat differs."""
    return msgspec.structs.replace(request, order_id="", at_ns=0, correlation_id="")


def _is_of(owner: str, instrument: str, symbol: str) -> bool:
    return owner == MANUAL and symbol in ("", instrument)


def figure_of(given: object, name: str) -> float:
    """Return a figure as a float; numbers of any library are accepted.

    Raises:
        OrderError: If it is not a number, such as text or True.
    """
    if isinstance(given, bool | str | bytes) or not isinstance(given, SupportsFloat):
        raise OrderError(f"{name} must be a number, got {given!r}")
    return float(given)


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
