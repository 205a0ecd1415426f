"""The last step on the trading path: the engine's journaled actions become messages to TWS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from ibdesk.model import Action, CancelOrder, ModifyOrder, Order, PlaceOrder, SetTimer
from ibdesk.store.account_halts import AccountHaltsError

if TYPE_CHECKING:
    from ibdesk.desk.runtime import Runtime


class ActionExecutor:
    """Carries out actions; an order or change that must not leave is refused, which returns as an event."""

    def __init__(self, runtime: Runtime) -> None:
        self._service, self._engine, self._recorder = runtime.service, runtime.engine, runtime.recorder
        self._watch, self._timers = runtime.account_watch, runtime.timers

    def carry_out(self, actions: Sequence[Action], *, is_recorded: bool, seconds_in_turn: float) -> list[Order]:
        """Carry out the actions of one event; return the orders that were placed.

        Cancels always leave, and TWS reports them. Orders and changes are held back in these cases:

        * The journal cannot be written.
        * The decision is older than `max_bar_lateness_seconds`: the process stood still in between.
        * Another process halted the account while the engine decided: orders that open a position are held back, or
          all orders if the guardian cancels orders or closes positions, or if the halts cannot be read.
        """
        placed: list[Order] = []
        if not is_recorded:
            self._hold_back(actions, self._recorder.failure, placed)
        elif seconds_in_turn > self._engine.gate.limits.max_bar_lateness_seconds:
            self._hold_back(actions, f"the desk stood still for {seconds_in_turn:.1f} s after it was decided", placed)
        elif self._watch.is_news:
            self._carry_out_after_news(actions, placed)
        else:
            for action in actions:
                self._execute(action, placed)
        return placed

    def _carry_out_after_news(self, actions: Sequence[Action], placed: list[Order]) -> None:
        """Carry out the actions that the account's halts allow; some halts may be newer than the decision."""
        try:
            halts = self._watch.unheld()
        except AccountHaltsError as error:
            self._hold_back(actions, str(error), placed)
            return
        if halts:
            only_openers = not any(halt.is_exclusive for halt in halts)
            self._hold_back(actions, "the account was halted meanwhile", placed, only_openers=only_openers)
            return
        for action in actions:
            self._execute(action, placed)

    def _execute(self, action: Action, placed: list[Order]) -> None:
        if action.__class__ is PlaceOrder:
            self._service.place(action.order)
            placed.append(action.order)
        elif action.__class__ is ModifyOrder:
            order = self._engine.blotter.orders[action.order_id]
            self._service.modify(
                msgspec.structs.replace(
                    order,
                    quantity=action.quantity,
                    limit_price=action.limit_price,
                    stop_price=action.stop_price,
                )
            )
        elif action.__class__ is CancelOrder:
            self._service.cancel(action.order_id)
        elif action.__class__ is SetTimer:
            self._timers.set(action)

    def _hold_back(
        self, actions: Sequence[Action], reason: str, placed: list[Order], *, only_openers: bool = False
    ) -> None:
        """Carry out cancels and timers only; with `only_openers` also orders that do not open a position."""
        for action in actions:
            match action:
                case PlaceOrder(order) if not only_openers or self._engine.orders.opens(order):
                    self._service.refuse(order, reason)
                case ModifyOrder(order_id=order_id):
                    self._service.keep_terms(order_id, reason)
                case _:
                    self._execute(action, placed)
