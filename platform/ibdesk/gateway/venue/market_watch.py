"""The orders that depend on each instrument's market. Quotes of other instruments cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ibdesk.gateway.market.instrument_state import InstrumentState, PartialBar
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.venue.records import Key, OrderRecord
from ibdesk.model import Quote, Tick


class MarketWatch:
    """Orders by the instruments they depend on. `on_trade` is called with each watched instrument that trades.

    The venue receives all quotes anyway. Trades come from the tape, and only while an order watches them.
    """

    def __init__(self, tape: Tape, on_trade: Callable[[str], None]) -> None:
        self._tape = tape
        self._on_trade = on_trade
        self.by_instrument: dict[str, dict[Key, OrderRecord]] = {}
        self._tick_watchers: dict[str, set[Key]] = {}
        self._for_executions: dict[Key, OrderRecord] = {}

    def add(self, record: OrderRecord, instruments: Iterable[str], *, trades: bool = False) -> None:
        """Make an order watch these instruments; with `trades`, their trades too."""
        for name in instruments:
            self.by_instrument.setdefault(name, {})[record.key] = record
            if trades:
                if name not in self._tick_watchers:
                    self._tape.watch(name, self)
                self._tick_watchers.setdefault(name, set()).add(record.key)

    def add_for_executions(self, record: OrderRecord) -> None:
        """Make an order wait for executions."""
        self._for_executions[record.key] = record

    def drop(self, record: OrderRecord) -> None:
        """Remove all watches of an order."""
        self._for_executions.pop(record.key, None)
        for name in [name for name, records in self.by_instrument.items() if record.key in records]:
            del self.by_instrument[name][record.key]
            if not self.by_instrument[name]:
                del self.by_instrument[name]
            listeners = self._tick_watchers.get(name, set())
            listeners.discard(record.key)
            if name in self._tick_watchers and not listeners:
                del self._tick_watchers[name]
                self._tape.unwatch(name, self)

    def of(self, instrument: str) -> tuple[OrderRecord, ...]:
        """Return the orders that watch an instrument, oldest first."""
        return tuple(self.by_instrument.get(instrument, {}).values())

    def for_executions(self) -> tuple[OrderRecord, ...]:
        """Return the orders that wait for an execution."""
        return tuple(self._for_executions.values())

    # ---- events from the tape ---------------------------------------------------------------------------------

    def on_tick(self, tick: Tick) -> None:
        """Report a trade."""
        self._on_trade(tick.instrument)

    def on_quote(self, quote: Quote) -> None:
        """Ignore a quote: the venue has received it already."""

    def on_bar(self, instrument: str, opened_ns: int, bars: dict[str, PartialBar]) -> None:
        """Ignore closed bars: no order depends on them."""

    def on_state(self, state: InstrumentState) -> None:
        """Ignore a halt or resumption: the quote that follows tells its effect on orders."""
