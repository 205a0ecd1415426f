"""Faults of single messages, of either direction: dropped, delayed, sent twice, overtaken by others."""

from __future__ import annotations

import random
from typing import Annotated, Self

import msgspec

from ibdesk.gateway.faults.fault import ClientId, Fault, Occasion, OrderId, Seconds, Stage, seconds_drawn
from ibdesk.gateway.faults.passing import INCOMING_NAMES, OUTGOING_NAMES, Passing, Scope
from ibdesk.gateway.faults.wire import Held, Onward, Rule, let_go
from ibdesk.gateway.schedule import Schedule

# What random scripts tamper with: whatever a client can lose without waiting for ever for an answer.
_TAMPERED = ("openOrder", "orderStatus", "execDetails", "commissionReport", "tickPrice", "tickSize", "realTimeBar")
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class MessageFault(Fault, frozen=True, kw_only=True):
    """What the faults of messages have in common.

    `messages` are names as TWS documents them, of either direction (``execDetails``, ``placeOrder``); none named is
    every outgoing one. `count` of them are touched, 0 is no end; `for_seconds` ends it earlier; `share` is the part of
    them that is touched at all, at random from the script's seed.
    """

    messages: Annotated[tuple[str, ...], msgspec.Meta(max_length=200)] = ()
    client: ClientId | None = None
    order: OrderId | None = None
    count: Annotated[int, msgspec.Meta(ge=0)] = 1
    for_seconds: Seconds | None = None
    share: Share = 1.0

    def strike(self, stage: Stage, occasion: Occasion) -> None:
        """Have messages in scope pass the rule of this kind from now on."""
        named = self.messages or (() if occasion.message is None else (occasion.message,))
        scope = Scope(
            messages=frozenset(named),
            client=occasion.client if self.client is None else self.client,
            order=occasion.order if self.order is None else self.order,
        )
        rule = self.rule(scope, occasion.chance, stage.gateway.schedule)
        stage.wire.add(rule, self.for_seconds)

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:
        """Return the rule that does it."""
        raise NotImplementedError

    def unknown_messages(self) -> list[str]:
        """Return the names that no message has."""
        return [name for name in self.messages if name not in INCOMING_NAMES | OUTGOING_NAMES]

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one that touches a few messages of one kind."""
        return cls(messages=(chance.choice(_TAMPERED),), count=chance.randint(1, 5))


class Drop(MessageFault, frozen=True, kw_only=True):
    """Messages get lost."""

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:  # noqa: ARG002
        """Return the rule."""
        return DropRule(scope, self.count or None, chance, self.share)


class Delay(MessageFault, frozen=True, kw_only=True):
    """Messages come `by_seconds` late; what comes behind them does not wait."""

    by_seconds: Seconds = 1.0

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:
        """Return the rule."""
        return DelayRule(scope, self.count or None, chance, self.share, schedule=schedule, by_seconds=self.by_seconds)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of up to two seconds."""
        drawn = super().drawn(chance)
        return msgspec.structs.replace(drawn, by_seconds=seconds_drawn(chance, 0.1, 2))


class Duplicate(MessageFault, frozen=True, kw_only=True):
    """Messages come twice, one right behind the other."""

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:  # noqa: ARG002
        """Return the rule."""
        return DuplicateRule(scope, self.count or None, chance, self.share)


class Reorder(MessageFault, frozen=True, kw_only=True):
    """Messages are overtaken by the next `past` messages of the same client and direction.

    When fewer come within `at_most_seconds`, a message is sent on all the same.
    """

    past: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    at_most_seconds: Seconds = 1.0

    def rule(self, scope: Scope, chance: random.Random, schedule: Schedule) -> Rule:
        """Return the rule."""
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
        """Return one past up to three messages."""
        drawn = super().drawn(chance)
        return msgspec.structs.replace(drawn, past=chance.randint(1, 3))


# ---- rules --------------------------------------------------------------------------------------------------------


class SharedRule(Rule):
    """A rule for a share of the messages in its scope, drawn from `chance`."""

    def __init__(self, scope: Scope, left: int | None, chance: random.Random, share: float) -> None:
        super().__init__(scope, left)
        self._chance = chance
        self._share = share

    def concerns(self, passing: Passing) -> bool:
        """Return whether the message is in scope, and among those drawn."""
        return super().concerns(passing) and (self._share >= 1 or self._chance.random() < self._share)


class DropRule(SharedRule):
    """Loses messages."""

    def meet(self, passing: Passing, onward: Onward) -> None:  # noqa: ARG002 - it goes nowhere
        """Lose one."""
        self.spend()


class DuplicateRule(SharedRule):
    """Sends messages twice."""

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Send one, and once more."""
        self.spend()
        onward(passing)
        onward(passing)


class DelayRule(SharedRule):
    """Sends messages on later."""

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

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Send one on when its time has come, whether the rule is still about then or not."""
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
        # What is held, and how many messages may still overtake it.
        self._waiting: list[tuple[Held, int]] = []

    def concerns(self, passing: Passing) -> bool:
        """Return whether it is one of the messages to hold; those beyond `left` are not."""
        return self._budget != 0 and super().concerns(passing)

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Hold one."""
        if self._budget is not None:
            self._budget -= 1
        held = Held(passing, onward)
        self._waiting.append((held, self._past))
        self._schedule.after(self._at_most_seconds, lambda: self._release(held))

    def after(self, passing: Passing) -> None:
        """Count a message that overtook."""
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
        """Send on what is held."""
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

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Hold one."""
        self._held.append(Held(passing, onward))

    def end(self) -> None:
        """Send on what is held."""
        let_go(self._held)
