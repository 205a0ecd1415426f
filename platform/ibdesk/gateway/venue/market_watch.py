"""Which orders look at which instrument's market, so that a quote of any other costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ibdesk.gateway.market.instrument_state import BarBuilder, InstrumentState
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.venue.records import Key, OrderRecord
from ibdesk.model import Quote, Tick


class MarketWatch:
    """The orders by instrument; `hear` is called with an instrument that traded and has orders that care.

    Quotes come to the venue anyway; trades only from the tape, and only while an order looks at them.
    """

    def __init__(self, tape: Tape, hear: Callable[[str], None]) -> None:
        self._tape = tape
        self._hear = hear
        self.by_instrument: dict[str, dict[Key, OrderRecord]] = {}
        self._heard: dict[str, set[Key]] = {}
        self._for_executions: dict[Key, OrderRecord] = {}

    def add(self, record: OrderRecord, instruments: Iterable[str], *, trades: bool = False) -> None:
        """Let an order look at these instruments, with `trades` also at what is traded in them."""
        for name in instruments:
            self.by_instrument.setdefault(name, {})[record.key] = record
            if trades:
                if name not in self._heard:
                    self._tape.watch(name, self)
                self._heard.setdefault(name, set()).add(record.key)

    def add_for_executions(self, record: OrderRecord) -> None:
        """Let an order hear of every execution."""
        self._for_executions[record.key] = record

    def drop(self, record: OrderRecord) -> None:
        """Let an order look at nothing any more."""
        self._for_executions.pop(record.key, None)
        for name in [name for name, records in self.by_instrument.items() if record.key in records]:
            del self.by_instrument[name][record.key]
            if not self.by_instrument[name]:
                del self.by_instrument[name]
            listeners = self._heard.get(name, set())
            listeners.discard(record.key)
            if name in self._heard and not listeners:
                del self._heard[name]
                self._tape.unwatch(name, self)

    def of(self, instrument: str) -> tuple[OrderRecord, ...]:
        """Return the orders that look at an instrument, the oldest first."""
        return tuple(self.by_instrument.get(instrument, {}).values())

    def for_executions(self) -> tuple[OrderRecord, ...]:
        """Return the orders that wait for an execution."""
        return tuple(self._for_executions.values())

    # ---- what the tape tells ----------------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        """Pass a trade on."""
        self._hear(tick.instrument)

    def on_quote(self, quote: Quote) -> None:
        """Hear a quote, which the venue has heard already."""

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, BarBuilder]) -> None:
        """Hear the bars that closed, which no order looks at."""

    def on_state(self, state: InstrumentState) -> None:
        """Hear that trading was halted or resumed; the quote that follows says what it means for orders."""
