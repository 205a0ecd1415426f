"""Faults of order reports: which messages arrive, in which order, and how often."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from ibdesk.gateway.faults.fault import Fault, FaultContext, OrderFault, Seconds, Trigger
from ibdesk.gateway.faults.message_filter import Held, Onward, Rule, let_go
from ibdesk.gateway.faults.messages import DropRule, DuplicateRule
from ibdesk.gateway.faults.passing import PassingMessage, Scope

# TOLD is every message that TWS sends about an order without a request.
SHOWN = frozenset({"openOrder", "orderStatus"})
EXECUTED = frozenset({"execDetails", "commissionReport"})
TOLD = SHOWN | EXECUTED | {"errMsg"}
_ACKNOWLEDGED = frozenset({"PendingSubmit", "PreSubmitted", "Submitted"})


class NextOrderFault(OrderFault, frozen=True, kw_only=True):
    """A fault of the messages of one order: the named one, the one that triggered it, or the next new one."""

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Find the order, or wait for it, and apply this kind's rule to its messages."""
        client, order = self.client_and_order(trigger)

        def begin(client: int | None, order: int | None) -> None:
            context.message_filter.add(self.rule(client, order))

        if order is not None:
            begin(client, order)
        else:
            context.message_filter.add(NewOrderWatch(client, nth=1, before=begin))

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule for the messages of this order."""
        raise NotImplementedError


class LoseAcknowledgement(NextOrderFault, frozen=True, kw_only=True):
    """TWS accepts an order and never acknowledges it; its executions, its end and answers to requests are sent."""

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule of this fault."""
        return _NoAcknowledgement(Scope(messages=TOLD, client=client, order=order, answers=False))


class TellNothing(NextOrderFault, frozen=True, kw_only=True):
    """TWS accepts an order and never reports it, except on request for open orders or executions."""

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule of this fault."""
        scope = Scope(messages=TOLD, client=client, order=order, answers=False)
        return DropRule(scope, None, random.Random(0), 1.0)  # noqa: S311 - drops all, draws nothing


class ExecutionBeforeOrder(NextOrderFault, frozen=True, kw_only=True):
    """An order's first execution arrives before openOrder and orderStatus; with `until`, its commission too."""

    until: Literal["execDetails", "commissionReport"] = "execDetails"

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule of this fault."""
        return _HoldUntil(client, order, holds=SHOWN, until=self.until)


class FilledBeforeExecution(NextOrderFault, frozen=True, kw_only=True):
    """An order's first execution arrives after the orderStatus that it leads to."""

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule of this fault."""
        return _HoldUntil(client, order, holds=frozenset({"execDetails"}), until="orderStatus")


class DuplicateExecutions(Fault, frozen=True, kw_only=True):
    """Every execution and its commission are reported twice, for a while or until this is switched off."""

    for_seconds: Seconds | None = None

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Report executions twice from now on."""
        context.end_duplicating()
        context.duplicating = DuplicateRule(Scope(messages=EXECUTED, answers=False), None, trigger.chance, 1.0)
        context.message_filter.add(context.duplicating, self.for_seconds)


# ---- rules ----------------------------------------------------------------------------------------------------------


class _NoAcknowledgement(Rule):
    """Drops the acknowledgements of an order, until another message about it."""

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Drop an acknowledgement, or end the rule."""
        if passing.name == "openOrder" or passing.status() in _ACKNOWLEDGED:
            return
        self.is_over = True
        onward(passing)


class _HoldUntil(Rule):
    """Holds messages of an order, once there are any, until another message was sent."""

    def __init__(self, client: int | None, order: int | None, *, holds: frozenset[str], until: str) -> None:
        super().__init__(Scope(messages=holds, client=client, order=order, answers=False))
        self._until = Scope(messages=frozenset({until}), client=client, order=order, answers=False)
        self._held: list[Held] = []

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Hold a message."""
        self._held.append(Held(passing, onward))

    def after(self, passing: PassingMessage) -> None:
        """End the rule when the awaited message was sent."""
        self.is_over = self.is_over or (bool(self._held) and self._until.covers(passing))

    def end(self) -> None:
        """Send the held messages."""
        let_go(self._held)


class NewOrderWatch(Rule):
    """Waits for the n-th new order of a client, or of all; calls `before` and `after` its arrival at the venue."""

    def __init__(
        self,
        client: int | None,
        *,
        nth: int,
        before: Callable[[int | None, int | None], None] | None = None,
        after: Callable[[int | None, int | None], None] | None = None,
    ) -> None:
        super().__init__(Scope(messages=frozenset({"placeOrder"}), client=client), nth)
        self._before = before
        self._after = after

    def concerns(self, passing: PassingMessage) -> bool:
        """Return whether it is a new order."""
        return super().concerns(passing) and passing.is_new_order()

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Count the order, and forward it."""
        self.spend()
        client, order = passing.session.client_id, passing.order()
        if self.is_over and self._before is not None:
            self._before(client, order)
        onward(passing)
        if self.is_over and self._after is not None:
            self._after(client, order)
