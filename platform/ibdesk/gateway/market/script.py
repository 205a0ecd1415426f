"""A market given quote by quote and trade by trade, so that a test knows every price in it."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from ibdesk.clock import SECOND
from ibdesk.errors import DataError
from ibdesk.gateway.market.names import played_name
from ibdesk.gateway.market.record import StatedEvents, stated_quote, stated_tick
from ibdesk.gateway.market.source import Prints, Quotes
from ibdesk.model import Forex, Instrument, Quote, Tick

ROUND_LOT = 100.0
_QUOTE_WORDS = frozenset({"symbol", "at", "bid", "ask", "bid_size", "ask_size"})
_TRADE_WORDS = frozenset({"symbol", "at", "price", "size"})


class MarketScript:
    """Plays exactly the given quotes and trades at their times; afterwards the last quote stays.

    ``MarketScript().quote("AAPL", 100.00, 100.02, at=0).trade("AAPL", 100.01, 200, at=1.5)``

    `at` is seconds since the market opened, which is the multiple of five seconds at or before the gateway's start.
    Events with a negative `at` are the past and only answer requests for history. Events of the same time happen in the
    order in which they were given. `symbols` names instruments that are played without any event yet.
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        # Times are relative to the opening.
        self._said: list[Quote | Tick] = []
        self._symbols: dict[str, None] = dict.fromkeys(map(played_name, symbols))
        self._records: dict[str, StatedEvents] = {}
        self._instruments: dict[str, Instrument] = {}
        self._opened_ns: int | None = None

    # ---- building -------------------------------------------------------------------------------------------------

    def quote(
        self,
        symbol: str,
        bid: float | None,
        ask: float | None,
        *,
        at: float,
        bid_size: float = ROUND_LOT,
        ask_size: float = ROUND_LOT,
    ) -> Self:
        """Add a quote; `None` is a side without a price. Crossed quotes are accepted.

        Raises:
            DataError: If a price, a size or the time is not valid.
        """
        return self._say(stated_quote(symbol, _moment(symbol, at), bid, ask, bid_size=bid_size, ask_size=ask_size))

    def trade(self, symbol: str, price: float, size: float = ROUND_LOT, *, at: float) -> Self:
        """Add a trade.

        Raises:
            DataError: If price or size is not positive, or the time is not valid.
        """
        return self._say(stated_tick(symbol, _moment(symbol, at), price, size))

    def _say(self, event: Quote | Tick) -> Self:
        if self._opened_ns is not None:
            raise DataError(
                f"{event.instrument}: the script is being played; use the running gateway's quote() and trade()"
            )
        self._symbols.setdefault(event.instrument)
        self._said.append(event)
        return self

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Return a script from rows: those with a `price` are trades, those with `bid` or `ask` quotes.

        Raises:
            DataError: If a row is neither, or has an unknown field; the message names the row.
        """
        script = cls()
        for number, row in enumerate(rows, start=1):
            said = {name: value for name, value in row.items() if value not in ("", None)}
            try:
                script._take_row(said)
            except (DataError, ValueError, TypeError, KeyError) as error:
                reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
                raise DataError(f"row {number} of the script: {reason}") from error
        return script

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a script from a CSV file with a header line, or a TOML file with an array of tables ``[[events]]``.

        Raises:
            DataError: If the file cannot be read or a row is not valid.
        """
        try:
            if path.suffix.lower() == ".toml":
                rows = tomllib.loads(path.read_text(encoding="utf-8")).get("events", [])
            else:
                with path.open(newline="", encoding="utf-8") as lines:
                    rows = list(csv.DictReader(lines))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise DataError(f"the market's script {path} cannot be read: {error}") from error
        return cls.of_rows(rows)

    def _take_row(self, row: Mapping[str, Any]) -> None:
        known = _TRADE_WORDS if "price" in row else _QUOTE_WORDS
        if unknown := sorted(str(name) for name in row if name not in known):
            raise DataError(f"{', '.join(unknown)}: not a field of a {'trade' if 'price' in row else 'quote'}")
        symbol, at = str(row["symbol"]), float(row["at"])
        if "price" in row:
            self.trade(symbol, float(row["price"]), float(row.get("size", ROUND_LOT)), at=at)
            return
        bid, ask = (float(row[name]) if name in row else None for name in ("bid", "ask"))
        if bid is None and ask is None:
            raise DataError("a quote needs bid or ask, a trade needs price")
        sizes = {name: float(row[name]) for name in ("bid_size", "ask_size") if name in row}
        self.quote(symbol, bid, ask, at=at, **sizes)

    # ---- playing --------------------------------------------------------------------------------------------------

    @property
    def symbols(self) -> tuple[str, ...]:
        """Return the instruments of the script."""
        return tuple(self._symbols)

    def open(self, at_ns: int, instruments: dict[str, Instrument]) -> None:
        """Begin the script's second 0 at `at_ns`."""
        self._opened_ns, self._instruments = at_ns, instruments
        self._records = {symbol: StatedEvents() for symbol in self._symbols}
        for event in self._said:
            self._records[event.instrument].add(_moved(event, at_ns))

    def events(self) -> Iterator[tuple[int, Iterable[Quote | Tick]]]:
        """Yield the events from second 0 on, in order of time, then in the order they were given."""
        opened_ns = self._opened_ns or 0
        for event in sorted(self._said, key=lambda event: event.at_ns):
            if event.at_ns >= 0:
                yield opened_ns + event.at_ns, [_moved(event, opened_ns)]

    def add(self, instrument: Instrument) -> bool:
        """Add an instrument without events; its prices are given by hand."""
        self._symbols.setdefault(instrument.id)
        self._records.setdefault(instrument.id, StatedEvents())
        self._instruments[instrument.id] = instrument
        return True

    def prints(self, symbol: str, start_ns: int, end_ns: int) -> Prints:
        """Return the trades of a span; for currencies the midpoints of their quotes."""
        has_trades = not isinstance(self._instruments.get(symbol), Forex)
        return self._records[symbol].prints(start_ns, end_ns, has_trades=has_trades)

    def quotes(self, symbol: str, start_ns: int, end_ns: int) -> Quotes:
        """Return the quotes of a span."""
        return self._records[symbol].quoted(start_ns, end_ns)

    def recorded(
        self, symbol: str, *, end_ns: int | None, now_ns: int, span_ns: int, interval_ns: int
    ) -> Prints | None:
        """Return None: a script has no calendar of its own."""
        del symbol, end_ns, now_ns, span_ns, interval_ns
        return None

    def first_ns(self, symbol: str) -> int | None:
        """Return the time of an instrument's first event."""
        times = [event.at_ns for event in self._said if event.instrument == symbol]
        return min(times) + (self._opened_ns or 0) if times else None


def _moment(symbol: str, at: float) -> int:
    if not math.isfinite(at):
        raise DataError(f"{symbol}: at must be seconds since the market opened, got {at!r}")
    return round(at * SECOND)


def _moved(event: Quote | Tick, by_ns: int) -> Quote | Tick:
    if isinstance(event, Quote):
        return Quote(event.instrument, event.at_ns + by_ns, event.bid, event.ask, event.bid_size, event.ask_size)
    return Tick(event.instrument, event.at_ns + by_ns, event.price, event.size)
