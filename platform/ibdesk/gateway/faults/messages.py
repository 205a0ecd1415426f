"""Faults of single messages in either direction: dropped, delayed, duplicated, reordered."""

from __future__ import annotations

import random
from typing import Annotated, Self

import msgspec

from ibdesk.gateway.faults.fault import ClientId, Fault, FaultContext, OrderId, Seconds, Trigger, seconds_drawn
from ibdesk.gateway.faults.message_filter import Held, Onward, Rule, let_go
from ibdesk.gateway.faults.passing import INCOMING_NAMES, OUTGOING_NAMES, PassingMessage, Scope
from ibdesk.gateway.schedule import Schedule

# The messages of random scripts: a client can lose them without waiting forever for an answer.
_TAMPERED = ("openOrder", "orderStatus", "execDetails", "commissionReport", "tickPrice", "tickSize", "realTimeBar")
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class MessageFault(Fault, frozen=True, kw_only=True):
    """A fault of messages.

    `messages` are names in TWS's documentation, of either direction (``execDetails``, ``placeOrder``); none means every
    outgoing one. `count` of them are affected, 0 is no limit; `for_seconds` ends it earlier. `share` is the fraction of
    messages that is affected, drawn from the script's seed.
    """

    messages: Annotated[tuple[str, ...], msgspec.Meta(max_length=200)] = ()
    client: ClientId | None = None
    order: OrderId | None = None
    count: Annotated[int, msgspec.Meta(ge=0)] = 1
    for_seconds: Seconds | None = None
    share: Share = 1.0

    def strike(self, context: FaultContext, trigger: Trigger) -> None:
        """Apply this kind's rule to messages in scope from now on."""
        named = self.messages or (() if trigger.message is None else (trigger.message,))
        scope = Scope(
            messages=frozenset(named),
            client=trigger.client if self.client is None else self.client,
            order=trigger.order if self.order is None else self.order,
        )
        rule = self.rule(scope, trigger.chance, context.gateway.schedule)
        context.message_filter.add(rule, self.for_seconds)

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:
        """Return the rule of this fault."""
        raise NotImplementedError

    def unknown_messages(self) -> list[str]:
        """Return the names that are not messages."""
        return [name for name in self.messages if name not in INCOMING_NAMES | OUTGOING_NAMES]

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one that affects a few messages of one kind."""
        return cls(messages=(chance.choice(_TAMPERED),), count=chance.randint(1, 5))


class Drop(MessageFault, frozen=True, kw_only=True):
    """Messages are lost."""

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:  # noqa: ARG002
        """Return the rule of this fault."""
        return DropRule(scope, self.count or None, chance, self.share)


class Delay(MessageFault, frozen=True, kw_only=True):
    """Messages arrive `by_seconds` late; later ones do not wait."""

    by_seconds: Seconds = 1.0

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:
        """Return the rule of this fault."""
        return DelayRule(scope, self.count or None, chance, self.share, schedule=schedule, by_seconds=self.by_seconds)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of up to two seconds."""
        drawn = super().drawn(chance)
        return msgspec.structs.replace(drawn, by_seconds=seconds_drawn(chance, 0.1, 2))


class Duplicate(MessageFault, frozen=True, kw_only=True):
    """Messages arrive twice, one directly after the other."""

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:  # noqa: ARG002
        """Return the rule of this fault."""
        return DuplicateRule(scope, self.count or None, chance, self.share)


class Reorder(MessageFault, frozen=True, kw_only=True):
    """Messages are overtaken by the next `past` messages of the same client and direction.

    If fewer arrive within `at_most_seconds`, a message is sent anyway.
    """

    past: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    at_most_seconds: Seconds = 1.0

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:
        """Return the rule of this fault."""
        return ReorderRule(
            scope,
            self.count or None,
            chance,
            self.share,
            schedule=schedule,
            past=self.past,
            at_most_seconds=self.at_most_seconds,
        )

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one that is overtaken by up to three messages."""
        drawn = super().drawn(chance)
        return msgspec.structs.replace(drawn, past=chance.randint(1, 3))


# ---- rules --------------------------------------------------------------------------------------------------------


class SharedRule(Rule):
    """A rule for a share of the messages in its scope, drawn from `chance`."""

    def __init__(self, scope: Scope, left: int | None, chance: random.Random, share: float) -> None:
        super().__init__(scope, left)
        self._chance = chance
        self._share = share

    def concerns(self, passing: PassingMessage) -> bool:
        """Return whether the message is in scope and was drawn."""
        return super().concerns(passing) and (self._share >= 1 or self._chance.random() < self._share)


class DropRule(SharedRule):
    """Drops messages."""

    def meet(self, passing: PassingMessage, onward: Onward) -> None:  # noqa: ARG002 - it goes nowhere
        """Drop a message."""
        self.spend()


class DuplicateRule(SharedRule):
    """Sends messages twice."""

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Send a message twice."""
        self.spend()
        onward(passing)
        onward(passing)


class DelayRule(SharedRule):
    """Delays messages."""

    def __init__(
        self,
        scope: Scope,
        left: int | None,
        chance: random.Random,
        share: float,
        *,
        schedule: Schedule,
        by_seconds: float,
    ) -> None:
        super().__init__(scope, left, chance, share)
        self._schedule = schedule
        self._by_seconds = by_seconds

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Send a message after the delay, even if the rule has ended by then."""
        self.spend()
        self._schedule.after(self._by_seconds, lambda: onward(passing))


class ReorderRule(SharedRule):
    """Lets messages be overtaken."""

    def __init__(
        self,
        scope: Scope,
        left: int | None,
        chance: random.Random,
        share: float,
        *,
        schedule: Schedule,
        past: int,
        at_most_seconds: float,
    ) -> None:
        super().__init__(scope, left, chance, share)
        self._schedule = schedule
        self._past = past
        self._at_most_seconds = at_most_seconds
        self._budget = left
        # The held messages, and how many messages may still overtake each.
        self._waiting: list[tuple[Held, int]] = []

    def concerns(self, passing: PassingMessage) -> bool:
        """Return whether the message is to be held; those beyond `left` are not."""
        return self._budget != 0 and super().concerns(passing)

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Hold a message."""
        if self._budget is not None:
            self._budget -= 1
        held = Held(passing, onward)
        self._waiting.append((held, self._past))
        self._schedule.after(self._at_most_seconds, lambda: self._release(held))

    def after(self, passing: PassingMessage) -> None:
        """Count a message that overtook held ones."""
        due: list[Held] = []
        for index, (held, more) in enumerate(self._waiting):
            mine = held.passing
            if (mine.session, mine.is_outgoing) != (passing.session, passing.is_outgoing):
                continue
            self._waiting[index] = (held, more - 1)
            if more <= 1:
                due.append(held)
        for held in due:
            self._release(held)

    def end(self) -> None:
        """Send the held messages."""
        for held, _ in tuple(self._waiting):
            self._release(held)

    def _release(self, held: Held) -> None:
        at = next((index for index, (mine, _) in enumerate(self._waiting) if mine is held), None)
        if at is None:
            return
        del self._waiting[at]
        self.spend()
        held.onward(held.passing)


class HoldRule(Rule):
    """Holds messages in its scope until it ends."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._held: list[Held] = []

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Hold a message."""
        self._held.append(Held(passing, onward))

    def end(self) -> None:
        """Send the held messages."""
        let_go(self._held)
