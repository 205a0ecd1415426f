"""The orders of one run: numbering, making and sending them through the risk gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ibdesk.errors import OrderDeniedError, StrategyError
from ibdesk.model import Order, OrderType, Side, TimeInForce, WhenClosed

if TYPE_CHECKING:
    from ibdesk.engine.engine import Engine
    from ibdesk.engine.lane import Lane
    from ibdesk.engine.run import Run

_DEEPEST = 20


class RunOrders:
    """Makes the orders of a run, and counts those passing the gate."""

    def __init__(self, run: Run, engine: Engine, *, made: int = 0) -> None:
        self._run, self._engine = run, engine
        # The number of the newest order; a run continues to count after a restart.
        self.made = made
        # The orders passing the gate, each made in the on_order of the one before.
        self.inside = 0

    def count(self, order_id: str) -> None:
        """Note an order that an earlier desk has made for this run: the next one gets a higher number."""
        run_id, _, number = order_id.rpartition(".")
        if run_id == self._run.id and number.isdigit():
            self.made = max(self.made, int(number))

    def send(self, lane: Lane, *, aims: bool = False, **terms: Any) -> str:
        """Send an order through the risk gate and return its id; with `aims` it leads to a target."""
        order = self.make(lane, **terms).checked()
        self.go_inside()
        number = self.made = self.made + 1
        if aims:
            lane.aimed_order = order.id
        else:
            self._engine.orders.aims.note_apart(lane, order.id)
        try:
            self._engine.orders.submit(order)
        except BaseException:
            if order.id not in self._engine.blotter.orders:
                # It was not made, so its number is free again.
                self.made = number - 1
            raise
        finally:
            self.go_outside()
        return order.id

    def deny(self, lane: Lane, order: Order, denial: OrderDeniedError) -> None:
        """Store an order to a target that the gate would have denied."""
        self.go_inside()
        self.made += 1
        lane.aimed_order = order.id
        try:
            self._engine.orders.deny(order, denial)
        finally:
            self.go_outside()

    def make(
        self,
        lane: Lane,
        *,
        side: Side,
        quantity: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: TimeInForce = TimeInForce.DAY,
        outside_regular_hours: bool = False,
        when_closed: WhenClosed = WhenClosed.USUAL,
    ) -> Order:
        """Return a new order of this run."""
        run, now_ns = self._run, self._engine.outbox.now_ns
        return Order(
            id=f"{run.id}.{self.made + 1}",
            owner=run.id,
            instrument=lane.instrument,
            side=side,
            # In the journal, an int or numpy scalar would have another type than a float.
            quantity=float(quantity),
            type=_TYPES[limit_price is not None, stop_price is not None],
            limit_price=None if limit_price is None else float(limit_price),
            stop_price=None if stop_price is None else float(stop_price),
            time_in_force=time_in_force,
            outside_regular_hours=outside_regular_hours,
            when_closed=when_closed,
            created_ns=now_ns,
            updated_ns=now_ns,
            correlation_id=self._engine.outbox.correlation_id,
        )

    def go_inside(self) -> None:
        """Count an order that passes the gate.

        Raises:
            StrategyError: If its on_order orders again after each denial, without an end.
        """
        if self.inside >= _DEEPEST:
            raise StrategyError(
                f"{self._run.id}: its on_order has ordered again after a denial {_DEEPEST} times in one event: do "
                f"not order again when an order is denied"
            )
        self.inside += 1

    def go_outside(self) -> None:
        """Uncount an order that has passed the gate or was denied."""
        self.inside -= 1


_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}
