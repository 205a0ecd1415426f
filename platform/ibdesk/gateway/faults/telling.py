"""Faults of what is told of an order: which messages come, in which order, and how often."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal

from ibdesk.gateway.faults.fault import Fault, Occasion, OrderFault, Seconds, Stage
from ibdesk.gateway.faults.messages import DropRule, DuplicateRule
from ibdesk.gateway.faults.passing import Passing, Scope
from ibdesk.gateway.faults.wire import Held, Onward, Rule, let_go

# TOLD: everything that TWS tells of an order without being asked.
SHOWN = frozenset({"openOrder", "orderStatus"})
EXECUTED = frozenset({"execDetails", "commissionReport"})
TOLD = SHOWN | EXECUTED | {"errMsg"}
_ACKNOWLEDGED = frozenset({"PendingSubmit", "PreSubmitted", "Submitted"})


class NextOrderFault(OrderFault, frozen=True, kw_only=True):
    """A fault of the messages of one order: the one named, the one that triggered it, or the next new one."""

    def strike(self, stage: Stage, occasion: Occasion) -> None:
        """Find the order, or wait for it, and have its messages pass the rule of this kind."""
        client, order = self.whose(occasion)

        def begin(client: int | None, order: int | None) -> None:
            stage.wire.add(self.rule(client, order))

        if order is not None:
            begin(client, order)
        else:
            stage.wire.add(NewOrderWatch(client, nth=1, before=begin))

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule that does it to the messages of this order."""
        raise NotImplementedError


class LoseAcknowledgement(NextOrderFault, frozen=True, kw_only=True):
    """TWS takes an order and never says so; its executions, its end and answers to requests are told."""

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule."""
        return _NoAcknowledgement(Scope(messages=TOLD, client=client, order=order, answers=False))


class TellNothing(NextOrderFault, frozen=True, kw_only=True):
    """TWS takes an order and tells nothing of it, ever, unless asked for open orders or executions."""

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule."""
        scope = Scope(messages=TOLD, client=client, order=order, answers=False)
        return DropRule(scope, None, random.Random(0), 1.0)  # noqa: S311 - all of them, nothing is drawn


class ExecutionBeforeOrder(NextOrderFault, frozen=True, kw_only=True):
    """The first execution of an order comes before openOrder and orderStatus, its commission too if `until` says so."""

    until: Literal["execDetails", "commissionReport"] = "execDetails"

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule."""
        return _HoldUntil(client, order, holds=SHOWN, until=self.until)


class FilledBeforeExecution(NextOrderFault, frozen=True, kw_only=True):
    """The first execution of an order comes behind the orderStatus it leads to."""

    def rule(self, client: int | None, order: int | None) -> Rule:
        """Return the rule."""
        return _HoldUntil(client, order, holds=frozenset({"execDetails"}), until="orderStatus")


class DuplicateExecutions(Fault, frozen=True, kw_only=True):
    """Every execution and its commission are told twice, for a while or until it is switched off."""

    for_seconds: Seconds | None = None

    def strike(self, stage: Stage, occasion: Occasion) -> None:
        """Tell them twice from now on."""
        stage.end_duplicating()
        stage.duplicating = DuplicateRule(Scope(messages=EXECUTED, answers=False), None, occasion.chance, 1.0)
        stage.wire.add(stage.duplicating, self.for_seconds)


# ---- rules ----------------------------------------------------------------------------------------------------------


class _NoAcknowledgement(Rule):
    """Loses what acknowledges an order, until something else is told of it."""

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Lose it, or be over."""
        if passing.name == "openOrder" or passing.status() in _ACKNOWLEDGED:
            return
        self.is_over = True
        onward(passing)


class _HoldUntil(Rule):
    """Holds messages of an order, once there are any, until another has left."""

    def __init__(self, client: int | None, order: int | None, *, holds: frozenset[str], until: str) -> None:
        super().__init__(Scope(messages=holds, client=client, order=order, answers=False))
        self._until = Scope(messages=frozenset({until}), client=client, order=order, answers=False)
        self._held: list[Held] = []

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Hold one."""
        self._held.append(Held(passing, onward))

    def after(self, passing: Passing) -> None:
        """Be over when the awaited message has left."""
        self.is_over = self.is_over or (bool(self._held) and self._until.covers(passing))

    def end(self) -> None:
        """Send on what is held."""
        let_go(self._held)


class NewOrderWatch(Rule):
    """Waits for the n-th new order of a client, or of all; calls `before` and `after` it is at the venue."""

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

    def concerns(self, passing: Passing) -> bool:
        """Return whether it is a new order."""
        return super().concerns(passing) and passing.is_new_order()

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Count it, and let it through."""
        self.spend()
        client, order = passing.session.client_id, passing.order()
        if self.is_over and self._before is not None:
            self._before(client, order)
        onward(passing)
        if self.is_over and self._after is not None:
            self._after(client, order)
