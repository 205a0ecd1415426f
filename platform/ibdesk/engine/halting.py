"""Halting: a halt cancels the orders that open a position, in the event in which it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ibdesk.engine.open_orders import OpenOrders, Sort, sort_of
from ibdesk.engine.portfolio import EXTERNAL, MANUAL
from ibdesk.engine.risk import reduces
from ibdesk.errors import DeskError
from ibdesk.model import (
    DESK_SCOPE,
    Halt,
    HaltTrading,
    ResumeTrading,
    Severity,
    TradingHalted,
    TradingState,
    instrument_scope,
    new_halt_id,
    run_scope,
)

if TYPE_CHECKING:
    from ibdesk.engine.holdings import Holding
    from ibdesk.engine.order_flow import OrderFlow


class Halting:
    """Halts the desk, a run or an instrument, and flattens."""

    def __init__(self, flow: OrderFlow, client_id: int) -> None:
        self._flow, self._client_id = flow, client_id

    def on_halt_trading(self, command: HaltTrading) -> None:
        """Halt by command of a person or another process."""
        reason, by, scope, state = command.reason or "no reason was given", command.by, command.scope, command.state
        if command.id:
            self.put(Halt(reason, by, self._flow.now_ns, command.id, scope, state, command.rule))
        else:
            self.halt(reason, by, scope=scope, state=state)

    def on_resume_trading(self, command: ResumeTrading, allow_targets: Callable[[], None]) -> None:
        """Lift a halt, and allow the targets that it refused again."""
        flow, halts = self._flow, self._flow.gate.halts
        was_exclusive = halts.is_exclusive
        try:
            flow.repetition.forgive(halts.find(command.id))
            halts.lift(command.id)
        except DeskError as error:
            flow.alert(command.by, f"nothing is lifted: {error}", Severity.WARNING)
            return
        flow.overrules.look_at_halts()
        allow_targets()
        flow.losses.arm()
        # A loss that is still beyond its limit halts again.
        flow.losses.look()
        if was_exclusive and not halts.is_exclusive and flow.link_up and flow.gate.decides:
            flow.aims.pursue_all()
        if halts:
            text = f"halt {command.id} lifted: {command.reason}; trading stays halted by {', '.join(halts)}"
        else:
            text = f"trading resumed: {command.reason}"
        flow.alert(command.by, text, Severity.WARNING)

    def halt(
        self,
        reason: str,
        by: str,
        *,
        scope: str = DESK_SCOPE,
        state: TradingState = TradingState.HALTED,
        rule: str = "",
    ) -> None:
        """Make a halt and put it in force, unless an equal one already is."""
        halts, at_ns = self._flow.gate.halts, self._flow.now_ns
        halt_id = new_halt_id(at_ns, halts.made + 1, client_id=self._client_id)
        halt = Halt(reason, by, at_ns, halt_id, scope, state, rule)
        if not any(_is_same(held, halt) for held in halts.values()):
            self.put(halt)

    def put(self, halt: Halt) -> None:
        """Put a halt in force until a person lifts it: only reducing orders pass. A known id is ignored."""
        flow = self._flow
        if halt.id in flow.gate.halts:
            return
        flow.gate.halts.put(halt)
        flow.add(TradingHalted(halt.reason, halt.at_ns, halt.by, halt.id, halt.scope, halt.state, halt.rule))
        if not flow.gate.decides:
            return
        if halt.is_exclusive:
            self._cancel_all()
        else:
            self.cancel_openers(halt.scope)

    def _cancel_all(self) -> None:
        """Cancel all open orders: the guardian cancels those at the venue, but not those that wait here."""
        for order in list(self._flow.blotter.all_open()):
            if not self._flow.blotter.is_withdrawn(order.id):
                self._flow.cancel(order.id)

    def cancel_openers(self, scope: str = DESK_SCOPE) -> None:
        """Cancel the open orders in a scope that its halts do not allow."""
        for holding in list(self._flow.exposures.holdings.values()):
            if holding.orders and scope in (DESK_SCOPE, run_scope(holding.owner), _scope_of(holding)):
                self.trim(holding)

    def trim(self, holding: Holding) -> None:
        """Cancel the open orders of a holding that its halts do not allow."""
        flow = self._flow
        state = flow.gate.halts.state_for(holding.owner, holding.total.instrument)
        if state is TradingState.NORMAL:
            return
        if flow.gate.halts.is_exclusive and holding.owner != MANUAL:
            kept = set()
        elif flow.gate.bars_protection(state, holding.owner):
            kept = {order_id for order_id in holding.orders if flow.aims.is_exit(order_id, holding)}
        else:
            kept = self._protecting(holding)
        if all(halt.by == EXTERNAL for halt in flow.gate.halts.values()):
            # Orders that a person has changed at the broker stay as they are.
            kept |= flow.overrules.orders.keys()
        for order_id in [each for each in holding.orders if each not in kept]:
            if not flow.blotter.is_withdrawn(order_id):
                flow.cancel(order_id)

    def _protecting(self, holding: Holding) -> set[str]:
        """Return the open orders that together only close or protect the position: exits first, then the oldest.

        An order with an unanswered change counts by the larger quantity.
        """
        kept, counted, held = set(), OpenOrders(), holding.position.quantity
        by_sort = sorted(holding.orders.values(), key=lambda order: sort_of(order) is not Sort.MARKET)
        for order in by_sort:
            quantity = self._flow.blotter.counted(order)
            if reduces(msgspec.structs.replace(order, quantity=order.filled + quantity), held, counted):
                kept.add(order.id)
                counted.add(order, quantity)
        return kept

    def flatten(self, owner: str | None) -> None:
        """Close the positions of an owner, or of all owners but `EXTERNAL`."""
        flow = self._flow
        for run in list(flow.runs.values()):
            if owner in (None, run.id):
                flow.aims.flatten(run)
        for holding in list(flow.exposures.holdings.values()):
            if holding.owner == MANUAL and holding.position.quantity and owner in (None, MANUAL):
                flow.manual_exits.close(holding.total.instrument)


def _scope_of(holding: Holding) -> str:
    return instrument_scope(holding.total.instrument)


def _is_same(held: Halt, halt: Halt) -> bool:
    """Return whether two halts are equal but for time and id."""
    return (held.by, held.reason, held.scope, held.state) == (halt.by, halt.reason, halt.scope, halt.state)
