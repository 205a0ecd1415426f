"""Late or incomplete answers: delayed, outdated, or without their end."""

from __future__ import annotations

import random
from typing import Self

import msgspec

from ibdesk.gateway.faults.fault import ClientId, Fault, FaultContext, OrderFault, Seconds, Trigger, seconds_drawn
from ibdesk.gateway.faults.message_filter import Onward, Rule
from ibdesk.gateway.faults.messages import DropRule, HoldRule
from ibdesk.gateway.faults.passing import PassingMessage, Scope
from ibdesk.gateway.faults.reports import TOLD, NewOrderWatch
from ibdesk.gateway.protocol.codec import Value, encode
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME

_ROW, _END = "position", "positionEnd"


class LateAcknowledgement(OrderFault, frozen=True, kw_only=True):
    """An order is not reported for `by_seconds`, not even on request; then everything is, in order."""

    by_seconds: Seconds = 25.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Find the order, or wait for the next new one, and hold its reports from then on."""
        client, order = self.client_and_order(trigger)

        def begin(client: int | None, order: int | None) -> None:
            context.message_filter.add(HoldRule(Scope(messages=TOLD, client=client, order=order)), self.by_seconds)

        if order is not None:
            begin(client, order)
        else:
            context.message_filter.add(NewOrderWatch(client, nth=1, before=begin))

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of up to ten seconds."""
        return cls(by_seconds=seconds_drawn(chance, 1, 10))


class LateSnapshot(Fault, frozen=True, kw_only=True):
    """For `by_seconds` positions are answered as they are now, in spite of trades, and changes are not reported."""

    by_seconds: Seconds = 5.0
    client: ClientId | None = None

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Record the present positions of all accounts."""
        client = trigger.client if self.client is None else self.client
        context.message_filter.add(_OldPositions(client, context.gateway.position_rows()), self.by_seconds)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of up to five seconds."""
        return cls(by_seconds=seconds_drawn(chance, 0.5, 5))


class MissingPositionEnd(Fault, frozen=True, kw_only=True):
    """The next answer to a position request has no end, so that a client cannot tell whether it is complete."""

    client: ClientId | None = None

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Drop the end."""
        client = trigger.client if self.client is None else self.client
        context.message_filter.add(DropRule(Scope(messages=frozenset({_END}), client=client), 1, trigger.chance, 1.0))


class _OldPositions(Rule):
    """Drops rows of positions, and sends the recorded ones before the end of an answer."""

    def __init__(self, client: int | None, rows: list[dict[str, Value]]) -> None:
        super().__init__(Scope(messages=frozenset({_ROW, _END}), client=client))
        self._rows = rows

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Drop a row, or send the recorded ones before the end."""
        if passing.name != _END:
            return
        for row in self._rows:
            data = encode(OUTGOING_BY_NAME[_ROW], row, passing.session.version)
            onward(msgspec.structs.replace(passing, name=_ROW, data=data))
        onward(passing)
