"""Requests about orders: placing, changing and withdrawing by hand; and orders found at the venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ibdesk.engine.blotter import NEVER_LEFT
from ibdesk.engine.portfolio import MANUAL
from ibdesk.engine.run import RunState
from ibdesk.engine.terms import refuse_index
from ibdesk.errors import OrderError
from ibdesk.model import AcceptExternal, CancelRequest, ModifyRequest, Order, OrderFound, PlaceRequest, Severity

if TYPE_CHECKING:
    from ibdesk.engine.order_flow import OrderFlow


class Requests:
    """Passes requests of people to the order flow."""

    def __init__(self, flow: OrderFlow) -> None:
        self._flow = flow

    def on_place_request(self, request: PlaceRequest) -> None:
        """Pass an order by hand through the risk gate; a repeated client key is ignored.

        Raises:
            OrderError: If its terms are inconsistent, or its instrument cannot be ordered.
        """
        if request.client_key and self._flow.blotter.called(request.by, request.client_key) is not None:
            return
        # Errors occur before anything changes: such a request has no effect and is not recorded.
        order = _by_hand(request).checked()
        if request.order_id in self._flow.blotter.orders:
            raise OrderError(f"there already is an order {request.order_id}: give the new one another id")
        refuse_index(order, request.instrument)
        self._flow.watch(request.instrument)
        self._flow.manual_exits.begin_anew(order.instrument)
        self._flow.submit(order)

    def on_modify_request(self, request: ModifyRequest) -> None:
        """Pass new terms through the risk gate.

        Raises:
            OrderError: If they are inconsistent.
        """
        self._flow.modifications.modify(
            request.order_id,
            quantity=request.quantity,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
        )

    def on_cancel_request(self, request: CancelRequest) -> None:
        """Withdraw one order, or all of an owner and in an instrument."""
        if request.order_id:
            self._cancel(request.order_id)
            return
        for order in self._flow.blotter.all_open():
            if request.owner in ("", order.owner) and request.symbol in ("", order.instrument):
                self._cancel(order.id)

    def _cancel(self, order_id: str) -> None:
        if order_id in self._flow.blotter.orders:
            self._flow.aims.let_go(self._flow.blotter.orders[order_id])
        self._flow.cancel(order_id)

    def on_accept_external(self, command: AcceptExternal) -> None:
        """Book the quantity that an outside trade closed to its holders, and allow them to order again.

        Raises:
            DeskError: If there is no such quantity.
        """
        flow = self._flow
        flow.outside.accept(command.instrument, command.owner, command.at_ns)
        for run in flow.runs.values():
            lane = run.lanes.get(command.instrument)
            if lane is not None:
                lane.is_stale = True
                lane.allow()
        flow.losses.look()

    def on_order_found(self, found: OrderFound) -> None:
        """Add an order that the venue has and our journal lacks: its owner continues counting from it.

        An order in an instrument that its run does not trade is ignored.
        """
        flow, order = self._flow, found.order
        run = flow.runs.get(order.owner)
        known = flow.blotter.orders.get(order.id)
        is_known = known is not None and known.reason != NEVER_LEFT
        if is_known or (run is not None and order.instrument not in run.lanes):
            return
        flow.watch(found.instrument)
        flow.blotter.put(order)
        if run is not None:
            run.orders.count(order.id)
        flow.order_changed(order)
        flow.alert(
            order.owner,
            f"order {order.id} is at the venue and was missing here: {order.side.value} {order.quantity:g} "
            f"{order.instrument} belongs to {order.owner} from now on",
            Severity.WARNING,
        )
        is_over = run is not None and run.state in (RunState.STOPPED, RunState.FAILED)
        if is_over and not flow.blotter.is_withdrawn(order.id):
            flow.cancel(order.id)


def _by_hand(request: PlaceRequest) -> Order:
    return Order(
        id=request.order_id,
        owner=MANUAL,
        instrument=request.instrument.id,
        side=request.side,
        quantity=request.quantity,
        type=request.order_type,
        limit_price=request.limit_price,
        stop_price=request.stop_price,
        time_in_force=request.time_in_force,
        outside_regular_hours=request.outside_regular_hours,
        when_closed=request.when_closed,
        created_ns=request.at_ns,
        updated_ns=request.at_ns,
        by=request.by,
        client_key=request.client_key,
        correlation_id=request.correlation_id,
    )
