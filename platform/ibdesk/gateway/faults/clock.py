"""The fault of a wrong clock: TWS reports another time than its market has."""

from __future__ import annotations

import random
from typing import Annotated, Self

import msgspec

from ibdesk.gateway.faults.fault import Fault, FaultContext, Seconds, Trigger, seconds_drawn
from ibdesk.gateway.faults.message_filter import Onward, Rule
from ibdesk.gateway.faults.passing import PassingMessage, Scope
from ibdesk.gateway.protocol.codec import decode, encode
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME

# A century, the error of a clock with an empty battery.
_FARTHEST = 3_155_760_000


class DriftClock(Fault, frozen=True, kw_only=True):
    """currentTime is this many seconds ahead, or behind if negative, for a while or permanently."""

    by_seconds: Annotated[int, msgspec.Meta(ge=-_FARTHEST, le=_FARTHEST)] = 60
    for_seconds: Seconds | None = None

    def strike(self, context: FaultContext, trigger: Trigger) -> None:  # noqa: ARG002
        """Report the wrong time from now on."""
        context.message_filter.add(_DriftRule(self.by_seconds), self.for_seconds)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of up to two minutes, for a while."""
        return cls(by_seconds=chance.randint(-120, 120), for_seconds=seconds_drawn(chance, 1, 10))


class _DriftRule(Rule):
    """Shifts the reported time."""

    def __init__(self, by_seconds: int) -> None:
        super().__init__(Scope(messages=frozenset({"currentTime"})))
        self._by_seconds = by_seconds

    def meet(self, passing: PassingMessage, onward: Onward) -> None:
        """Shift one time; one before 1970 becomes the beginning of 1970."""
        message, version = OUTGOING_BY_NAME["currentTime"], passing.session.version
        told = int(str(decode(message, passing.texts(), version)["time"]))
        moved = encode(message, {"time": max(0, told + self._by_seconds)}, version)
        onward(msgspec.structs.replace(passing, data=moved))
