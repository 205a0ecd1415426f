"""The fault of a clock that is wrong: TWS tells another time than the one by which its market moves."""

from __future__ import annotations

import random
from typing import Annotated, Self

import msgspec

from ibdesk.gateway.faults.fault import Fault, Occasion, Seconds, Stage, seconds_drawn
from ibdesk.gateway.faults.passing import Passing, Scope
from ibdesk.gateway.faults.wire import Onward, Rule
from ibdesk.gateway.protocol.codec import decode, encode
from ibdesk.gateway.protocol.outgoing import OUTGOING_BY_NAME

# A century: what a battery that is flat makes of a clock.
_FARTHEST = 3_155_760_000


class DriftClock(Fault, frozen=True, kw_only=True):
    """Tell a time (currentTime) that is so many seconds ahead, or behind when negative, for a while or for good."""

    by_seconds: Annotated[int, msgspec.Meta(ge=-_FARTHEST, le=_FARTHEST)] = 60
    for_seconds: Seconds | None = None

    def strike(self, stage: Stage, occasion: Occasion) -> None:  # noqa: ARG002
        """Tell it from now on."""
        stage.wire.add(_DriftRule(self.by_seconds), self.for_seconds)

    @classmethod
    def drawn(cls, chance: random.Random) -> Self:
        """Return one of up to two minutes, for a while."""
        return cls(by_seconds=chance.randint(-120, 120), for_seconds=seconds_drawn(chance, 1, 10))


class _DriftRule(Rule):
    """Moves the time that is told."""

    def __init__(self, by_seconds: int) -> None:
        super().__init__(Scope(messages=frozenset({"currentTime"})))
        self._by_seconds = by_seconds

    def meet(self, passing: Passing, onward: Onward) -> None:
        """Move one; a time before 1970 is the beginning of 1970."""
        message, version = OUTGOING_BY_NAME["currentTime"], passing.session.version
        told = int(str(decode(message, passing.texts(), version)["time"]))
        moved = encode(message, {"time": max(0, told + self._by_seconds)}, version)
        onward(msgspec.structs.replace(passing, data=moved))
