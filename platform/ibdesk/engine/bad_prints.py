"""Bad prints: a print that jumps too far from the last price is held until a second one, or time, confirms it.

A held print changes neither the last price and trade, nor the quote, nor the value of positions, and no strategy
decides on it: its bars, features and hooks wait. The journal and the feed have the print as it came.

A second print that jumps the same way confirms the first; quotes, trades and bars count alike. One at the old price
drops it. One that jumps the other way replaces it. Without a second print it counts after `risk.price_jump_seconds`:
a price that nothing contradicts is valid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ibdesk.engine.freshness import Freshness
from ibdesk.engine.outbox import Outbox
from ibdesk.model import Bar, Quote, SetTimer, Severity, Tick

if TYPE_CHECKING:
    from ibdesk.engine.market import Market
    from ibdesk.engine.risk import RiskGate

JUMP_TIMER = "/jump/"
"""The prefix of the ids of timers after which a held print counts."""

_SECOND = 1_000_000_000
# The least time between alerts about one instrument.
_TOLD_EVERY_SECONDS = 60.0

Print = Bar | Quote | Tick


class BadPrints:
    """The held prints, at most one per instrument; `take` handles a print that is confirmed."""

    def __init__(self, outbox: Outbox, gate: RiskGate, freshness: Freshness, take: Callable[[Print], object]) -> None:
        self._outbox, self._gate, self._freshness, self._take = outbox, gate, freshness, take
        # By instrument: the print, its price, and since when it is held by our clock.
        self._held: dict[str, tuple[Print, float, int]] = {}
        # The time of the last alert, by instrument.
        self._told_ns: dict[str, int] = {}
        # The confirmed print, while it is handled.
        self._confirmed: Print | None = None

    def holds(self, market: Market, event: Print, price: float) -> bool:
        """Return whether this print must wait; a held one that it confirms is handled first."""
        before = market.price
        if before is None:
            return False
        jumps = abs(price - before) > self._gate.limits.max_price_jump * abs(before)
        if not (jumps or self._held) or not market.jumps or event is self._confirmed:
            return False
        name = event.instrument
        if not jumps:
            if name in self._held:
                self._drop(name, before)
            return False
        held = self._held.pop(name, None)
        if held is not None and (held[1] > before) == (price > before):
            self._count(held[0], f"another print, at {price:g}, confirms it")
            return False
        self._held[name] = event, price, self._freshness.now_ns
        self._wait(name, price, before)
        return True

    def on_timer(self, timer_id: str) -> None:
        """Confirm a held print that nothing has contradicted."""
        name = timer_id.removeprefix(JUMP_TIMER)
        held = self._held.get(name)
        if held is not None and self._freshness.seconds_since(held[2]) >= self._gate.limits.price_jump_seconds:
            del self._held[name]
            self._count(held[0], "nothing has contradicted it")

    def _count(self, event: Print, why: str) -> None:
        self._tell(event.instrument, f"the print that was held counts: {why}")
        before, self._confirmed = self._confirmed, event
        try:
            self._take(event)
        finally:
            self._confirmed = before

    def _drop(self, name: str, price: float) -> None:
        _, dropped, _ = self._held.pop(name)
        self._tell(name, f"the print at {dropped:g} was isolated and is dropped; the price stays near {price:g}")

    def _wait(self, name: str, price: float, before: float) -> None:
        limits = self._gate.limits
        if self._tells(name):
            jump = abs(price - before) / abs(before) if before else float("inf")
            self._tell(
                name,
                f"a print at {price:g} jumps {jump:.1%} from {before:g}; risk.max_price_jump allows "
                f"{limits.max_price_jump:.1%}: it is held until a second print or {limits.price_jump_seconds:g} s "
                f"confirm it",
            )
        if limits.price_jump_seconds < float("inf"):
            due_ns = self._freshness.now_ns + int(limits.price_jump_seconds * self._freshness.speed * _SECOND)
            self._outbox.add(SetTimer(f"{JUMP_TIMER}{name}", due_ns))

    def _tells(self, name: str) -> bool:
        """Return whether to alert a person about an instrument's held print."""
        told_ns = self._told_ns.get(name)
        if told_ns is not None and self._freshness.seconds_since(told_ns) < _TOLD_EVERY_SECONDS:
            return False
        self._told_ns[name] = self._freshness.now_ns
        return True

    def _tell(self, name: str, text: str) -> None:
        self._outbox.alert("market", f"{name}: {text}", Severity.WARNING)
