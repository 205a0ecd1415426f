"""Quotes and trades by hand in the running market."""

from __future__ import annotations

import numpy as np

from ibdesk.errors import DataError
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.market.record import StatedEvents, stated_quote, stated_tick
from ibdesk.gateway.market.script import ROUND_LOT
from ibdesk.gateway.market.source import Prints, Quotes, QuotingSource, no_prints, quotes_of
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.schedule import Schedule
from ibdesk.model import Forex, Instrument, Quote, Tick


class MarketControl:
    """Quotes and trades by hand in one gateway's market, and the history that includes them.

    The source continues to play: its next quote replaces the one given by hand.
    """

    def __init__(self, tape: Tape, contracts: ContractBook, schedule: Schedule) -> None:
        self._tape = tape
        self._contracts = contracts
        self._schedule = schedule
        self._records: dict[str, StatedEvents] = {}

    def quote(
        self,
        symbol: str,
        bid: float | None,
        ask: float | None,
        *,
        bid_size: float = ROUND_LOT,
        ask_size: float = ROUND_LOT,
    ) -> None:
        """Quote an instrument now. `None` is a side without a price; a crossed quote is accepted.

        Raises:
            DataError: If no contract has that name, or a price or size is not valid.
        """
        at_ns = self._schedule.now_ns
        self._take(stated_quote(symbol, at_ns, bid, ask, bid_size=bid_size, ask_size=ask_size))

    def trade(self, symbol: str, price: float, size: float = ROUND_LOT) -> None:
        """Trade an instrument now.

        Raises:
            DataError: If no contract has that name, or price or size is not positive.
        """
        self._take(stated_tick(symbol, self._schedule.now_ns, price, size))

    def _take(self, event: Quote | Tick) -> None:
        contract = self._contracts.named(event.instrument)
        if contract is None:
            raise DataError(f"{event.instrument!r} is not a contract of this gateway: add it to the market's symbols")
        self._tape.play(contract.instrument)
        self._records.setdefault(event.instrument, StatedEvents()).add(event)
        self._tape.take(event)

    # ---- history --------------------------------------------------------------------------------------------------

    def knows(self, symbol: str) -> bool:
        """Return whether an instrument was ever played or set by hand."""
        return symbol in self._tape.source.symbols or symbol in self._records

    def first_ns(self, symbol: str) -> int | None:
        """Return when the past of an instrument begins; None if it has none."""
        record = self._records.get(symbol)
        times = [] if record is None else [events[0].at_ns for events in (record.quotes, record.ticks) if events]
        played_ns = self._tape.source.first_ns(symbol)
        return min(times if played_ns is None else [*times, played_ns], default=None)

    def prints(self, instrument: Instrument, start_ns: int, end_ns: int) -> Prints:
        """Return the trades of a span, from the source and by hand; for currencies the midpoints."""
        source, name = self._tape.source, instrument.id
        found = source.prints(name, start_ns, end_ns) if name in source.symbols else no_prints()
        record = self._records.get(name)
        if record is None:
            return found
        said = record.prints(start_ns, end_ns, has_trades=not isinstance(instrument, Forex))
        order = _in_order(found, said)
        return Prints(
            np.concatenate((found.times, said.times))[order],
            np.concatenate((found.prices, said.prices))[order],
            np.concatenate((found.sizes, said.sizes))[order],
        )

    def quotes(self, instrument: Instrument, start_ns: int, end_ns: int) -> Quotes:
        """Return the quotes of a span, from the source and by hand.

        For a source that does not know its past quotes, they are derived from its trades.
        """
        source, name = self._tape.source, instrument.id
        if isinstance(source, QuotingSource) and name in source.symbols:
            found = source.quotes(name, start_ns, end_ns)
        elif name in source.symbols:
            found = quotes_of(source.prints(name, start_ns, end_ns), instrument)
        else:
            found = quotes_of(no_prints(), instrument)
        record = self._records.get(name)
        if record is None:
            return found
        said = record.quoted(start_ns, end_ns)
        order = _in_order(found, said)
        return Quotes(
            np.concatenate((found.times, said.times))[order],
            np.concatenate((found.bids, said.bids))[order],
            np.concatenate((found.asks, said.asks))[order],
            np.concatenate((found.bid_sizes, said.bid_sizes))[order],
            np.concatenate((found.ask_sizes, said.ask_sizes))[order],
        )


def _in_order(found: Prints | Quotes, said: Prints | Quotes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the time order of two concatenated histories; at equal times the source comes first."""
    return np.argsort(np.concatenate((found.times, said.times)), kind="stable")
